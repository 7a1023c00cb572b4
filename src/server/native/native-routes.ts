import { OpenAPIHono } from "@hono/zod-openapi";
import type { ServerContext, ServerEnv } from "../http/server-context.ts";
import { openApiDocument } from "./openapi-document.ts";
import { OPERATIONS } from "./operations.ts";

/** Returns the routes of Castellan's own API, to be mounted at `/castellan/v1`. They throw; the server answers the errors. */
export function nativeRoutes(context: ServerContext): OpenAPIHono<ServerEnv> {
  const app = new OpenAPIHono<ServerEnv>();
  for (const { method, path, handle } of OPERATIONS) {
    app.on(method.toUpperCase(), path.replace(/\{(\w+)\}/g, ":$1"), (c) => handle(c, context));
  }
  let document: object | undefined;
  app.get("/openapi.json", (c) => {
    document ??= openApiDocument();
    return c.json(document);
  });
  return app;
}
