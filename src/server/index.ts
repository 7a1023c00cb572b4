/**
 * An HTTP server over a supervisor: a declared subset of Anthropic's Managed Agents API, and Castellan's own API.
 *
 * @module castellan/server
 */

import "../required-node.ts";

export type { Authenticate } from "./access/authentication.ts";
export type { Arrival } from "./access/guards.ts";
export type { TokenInfo } from "./access/token.ts";
export { type TokenOptions, TokenStore } from "./access/token-store.ts";
export { clientTools } from "./anthropic/client-tool-server.ts";
export { type ServerHandler, serverHandler } from "./handler.ts";
export type { Caller, Scope } from "./http/caller.ts";
export { type ListeningServer, listen } from "./listen.ts";
export type { ListenOptions, MountedHandler, ServerOptions } from "./server-options.ts";
