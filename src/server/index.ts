/**
 * An HTTP server over a supervisor: a declared subset of Anthropic's Managed Agents API, and Castellan's own API.
 *
 * @module castellan/server
 */

import "../required-node.ts";

export type { Caller, Scope } from "./http/caller.ts";
