import { createRoute, OpenAPIHono } from "@hono/zod-openapi";
import { z } from "zod";
import { errorAnswerSchema } from "../../wire/error.ts";
import type { Operation } from "./operation.ts";
import { OPERATIONS } from "./operations.ts";

const DESCRIPTION =
  "Castellan's own API: sessions, turns, events, approvals, pools and the supervisor. Names of sessions in paths are JSON, " +
  "percent-encoded. Times are in milliseconds since the epoch. Fields and event types may be added.";

/** Returns the OpenAPI 3.1 description of Castellan's own API. */
export function openApiDocument(): object {
  const app = new OpenAPIHono();
  const token = app.openAPIRegistry.registerComponent("securitySchemes", "token", { type: "http", scheme: "bearer" });
  for (const operation of OPERATIONS) app.openAPIRegistry.registerPath(routeOf(operation, token.name));
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "Castellan", version: "1", description: DESCRIPTION },
    servers: [{ url: "/castellan/v1" }],
  });
}

function routeOf(operation: Operation, security: string): ReturnType<typeof createRoute> {
  const { id, tag, method, path, scope, summary, answer, params, query, body, idempotent, wholeReach } = operation;
  const notes = [
    operation.description,
    `Needs the scope \`${scope}\`${wholeReach === true ? ", and a caller who reaches all sessions" : ""}.`,
  ];
  return createRoute({
    operationId: id,
    tags: [tag],
    method,
    path,
    summary,
    description: notes.filter(Boolean).join("\n\n"),
    security: [{ [security]: [scope] }],
    "x-idempotent": idempotent,
    request: {
      ...(params !== undefined && { params: objectOf(params) }),
      ...(query !== undefined && { query: objectOf(query) }),
      ...(body !== undefined && { body: { content: { "application/json": { schema: body } } } }),
    },
    responses: {
      [answer.status]: {
        description: answer.description,
        content: { [answer.contentType]: { schema: answer.schema } },
      },
      default: {
        description: "The request failed.",
        content: { "application/json": { schema: errorAnswerSchema } },
      },
    },
  });
}

/** Parameters are the fields of an object. */
function objectOf(schema: z.ZodType): z.ZodObject {
  if (schema instanceof z.ZodObject) return schema;
  throw new TypeError("Expected the parameters of an operation as the schema of an object.");
}
