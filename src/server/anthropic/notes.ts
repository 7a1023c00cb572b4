import { z } from "zod";
import type { Json, JsonObject } from "../../journal/model/session-entry.ts";
import type { NoteOptions } from "../../session/options/note.ts";
import { budgetSchema } from "./budget.ts";
import type { WireBudget } from "./wire-event.ts";

/** What an update changed. */
export interface Changes {
  readonly title?: string | null;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly budget?: WireBudget | null;
}

/** What a client did that the record has no event for. */
export type Note =
  | { readonly kind: "interrupt" }
  | { readonly kind: "archived" }
  | { readonly kind: "updated"; readonly changes: Changes };

const PREFIX = "managed_agents.";

const changesSchema = z.object({
  title: z.string().nullable().exactOptional(),
  metadata: z.record(z.string(), z.string()).exactOptional(),
  budget: budgetSchema.nullable().exactOptional(),
});

/** Returns a note for the record. @param request identifies the request, so that a retry of it finds the note */
export function noteOf(note: Note, by: string, request?: JsonObject): NoteOptions {
  const changes = "changes" in note ? { changes: { ...note.changes } as JsonObject } : {};
  return { kind: `${PREFIX}${note.kind}`, data: { ...changes, ...request }, by };
}

/** Reads a note of the record; undefined if it is the application's own. */
export function readNote(kind: string, data: Json | undefined): Note | undefined {
  switch (kind) {
    case `${PREFIX}interrupt`:
      return { kind: "interrupt" };
    case `${PREFIX}archived`:
      return { kind: "archived" };
    case `${PREFIX}updated`: {
      const read = z.object({ changes: changesSchema }).safeParse(data);
      return read.success ? { kind: "updated", changes: read.data.changes } : undefined;
    }
    default:
      return undefined;
  }
}
