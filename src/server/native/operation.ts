import type { Context } from "hono";
import { z } from "zod";
import { invalidOptions, validate } from "../../session/options/validation.ts";
import { requireScope, requireWholeReach } from "../access/reach.ts";
import { readJson } from "../http/body.ts";
import type { Caller, Scope } from "../http/caller.ts";
import type { ServerContext, ServerEnv } from "../http/server-context.ts";

/** The groups of operations in the documentation. */
export type OperationTag =
  | "Sessions"
  | "Turns"
  | "Events"
  | "Approvals"
  | "Pools"
  | "Supervisor"
  | "Webhooks"
  | "Cluster";

/** The answer of an operation that succeeds. */
export interface OperationAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly schema: z.ZodType;
  readonly description: string;
}

/** The documented facts of an operation. */
interface OperationFacts {
  /** Unique, in camel case: `restartSession`. */
  readonly id: string;
  readonly tag: OperationTag;
  readonly method: "get" | "post" | "patch" | "delete";
  /** Below the base path of the API, with parameters in braces. */
  readonly path: string;
  readonly scope: Scope;
  /** Whether it concerns all sessions, so that the caller's reach must not be limited. Default `false`. */
  readonly wholeReach?: boolean;
  /** Whether a second call with the same request does no more than the first. Default: only for `get`. */
  readonly idempotent?: boolean;
  /** One sentence. */
  readonly summary: string;
  readonly description?: string;
}

/** The input of an operation. Parts that it does not take are left out. */
interface OperationInput<Params, Query, Body> {
  readonly params?: z.ZodType<Params>;
  readonly query?: z.ZodType<Query>;
  readonly body?: z.ZodType<Body>;
}

/** A request to an operation. Its parts have been checked. */
export interface OperationRequest<Params, Query, Body> extends ServerContext {
  readonly caller: Caller;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly headers: Headers;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
}

/** A documented operation and its handler. */
export interface Operation extends OperationFacts, OperationInput<unknown, unknown, unknown> {
  readonly idempotent: boolean;
  readonly answer: OperationAnswer;
  /** Answers a request. Throws; the server answers the error with its status. */
  handle(c: Context<ServerEnv>, context: ServerContext): Promise<Response>;
}

type Run<Params, Query, Body, Answer> = (request: OperationRequest<Params, Query, Body>) => Promise<Answer> | Answer;

/** Makes an operation that answers JSON. `status` defaults to 200. */
export function jsonOperation<Answer, Params = undefined, Query = undefined, Body = undefined>(
  facts: OperationFacts &
    OperationInput<Params, Query, Body> & { readonly answer: z.ZodType<Answer>; readonly status?: number },
  run: Run<Params, Query, Body, Answer>,
): Operation {
  const { answer: schema, status = 200, ...rest } = facts;
  const answer = { status, contentType: "application/json", schema, description: "The answer." };
  return operation({ ...rest, answer }, async (request) =>
    Response.json(await run(request), { status, headers: { "cache-control": "no-store" } }),
  );
}

/** Makes an operation that answers something else, such as a stream. */
export function operation<Params = undefined, Query = undefined, Body = undefined>(
  facts: OperationFacts & OperationInput<Params, Query, Body> & { readonly answer: OperationAnswer },
  run: Run<Params, Query, Body, Response>,
): Operation {
  const { params, query, body } = facts;
  return {
    ...facts,
    idempotent: facts.idempotent ?? facts.method === "get",
    handle: async (c, context) => {
      const caller = c.get("caller");
      requireScope(caller, facts.scope);
      if (facts.wholeReach === true) requireWholeReach(caller);
      const what = `request ${facts.id}`;
      return await run({
        ...context,
        caller,
        params: read(params, c.req.param(), what),
        query: read(query, queryOf(query, c.req.queries(), what), what),
        body: body === undefined ? read(body, undefined, what) : read(body, (await readJson(c.req.raw)) ?? {}, what),
        headers: c.req.raw.headers,
        signal: c.req.raw.signal,
      });
    },
  };
}

/** Parses a part of a request. A part without a schema is undefined, which its type says, too. */
function read<Part>(schema: z.ZodType<Part> | undefined, part: unknown, what: string): Part {
  return schema === undefined ? (undefined as Part) : validate(schema, part, what);
}

/** Returns the parameters of a query, with a list only where the schema takes one. @throws CastellanError `INVALID_OPTIONS` */
function queryOf(
  schema: z.ZodType | undefined,
  given: Readonly<Record<string, readonly string[]>>,
  what: string,
): Readonly<Record<string, unknown>> {
  const shape: Readonly<Record<string, z.core.$ZodType>> = schema instanceof z.ZodObject ? schema.shape : {};
  const parameters = Object.entries(given).map(([name, values]) => {
    const field = Object.hasOwn(shape, name) ? shape[name] : undefined;
    if (schema === undefined) throw invalidOptions(what, [{ field: name, message: "the operation takes no query" }]);
    if (field !== undefined && isList(field)) return [name, values];
    if (values.length > 1) throw invalidOptions(what, [{ field: name, message: "expected one value; got several" }]);
    return [name, values[0]];
  });
  return Object.fromEntries(parameters);
}

/** Whether a schema takes a list of texts. */
function isList(schema: z.core.$ZodType): boolean {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodReadonly) return isList(schema.unwrap());
  if (schema instanceof z.ZodPipe) return isList(schema.in);
  return schema instanceof z.ZodArray;
}
