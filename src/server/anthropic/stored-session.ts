import { z } from "zod";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import { budgetSchema } from "./budget.ts";
import { type CustomTool, customToolSchema } from "./custom-tool.ts";
import type { WireBudget } from "./wire-event.ts";

/** What the server keeps of a session for its clients, in the session's metadata. */
export interface StoredSession {
  readonly metadata: Readonly<Record<string, string>>;
  readonly budget?: WireBudget;
  /** The tools that the client answers. */
  readonly tools?: readonly CustomTool[];
  /** When a client last changed it, in milliseconds since the epoch. */
  readonly updatedAt?: number;
  /** Identifies the request that created it; see retries.ts. */
  readonly request?: string;
}

/** The field of the metadata of a session. The application may have others. */
const FIELD = "managed_agents";

const schema = z.object({
  metadata: z.record(z.string(), z.string()),
  budget: budgetSchema.exactOptional(),
  tools: z.array(customToolSchema).exactOptional(),
  updatedAt: z.number().exactOptional(),
  request: z.string().exactOptional(),
});

/** Reads what the server keeps of a session. */
export function storedIn(metadata: JsonObject | undefined): StoredSession {
  return schema.safeParse(metadata?.[FIELD]).data ?? { metadata: {} };
}

/** Returns the metadata of a session with what the server keeps. */
export function withStored(metadata: JsonObject | undefined, stored: StoredSession): JsonObject {
  // JSON leaves out what is undefined.
  return { ...metadata, [FIELD]: JSON.parse(JSON.stringify(stored)) as JsonObject };
}
