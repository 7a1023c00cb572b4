import type { Env, Hono } from "hono";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;

/** Returns the methods that the routes of the path take; empty if it has none. Middleware is no route. */
export function allowedMethods<AnyEnv extends Env>({ router }: Hono<AnyEnv>, path: string): readonly string[] {
  return METHODS.filter((method) => router.match(method, path)[0].some(([[, route]]) => route.method === method));
}
