import type { LiveEvent } from "../../session/record/session-event-types.ts";
import type { EventIds } from "./ids.ts";
import type { PreviewedType, WireDelta } from "./wire-event.ts";

/** The live events that previews come from, by what they preview. */
const SOURCES: { readonly [Type in PreviewedType]: LiveEvent["type"] } = {
  "agent.message": "text_delta",
  "agent.thinking": "thinking_delta",
};

/** Makes the previews that one stream asks for. */
export class Previews {
  readonly #ids: EventIds;
  readonly #types: ReadonlySet<PreviewedType>;
  /** The blocks that have begun. */
  readonly #begun = new Set<string>();

  constructor(ids: EventIds, types: ReadonlySet<PreviewedType>) {
    this.#ids = ids;
    this.#types = types;
  }

  /** The live events to read. */
  get sources(): LiveEvent["type"][] {
    return [...this.#types].map((type) => SOURCES[type]);
  }

  /** Returns the previews that a live event adds. */
  of(event: LiveEvent): WireDelta[] {
    if (event.type !== "text_delta" && event.type !== "thinking_delta") return [];
    const type = event.type === "text_delta" ? "agent.message" : "agent.thinking";
    const id = this.#ids.block(event.block);
    const isNew = !this.#begun.has(event.block);
    this.#begun.add(event.block);
    return [
      ...(isNew ? [{ type: "event_start", event: { id, type } } as const] : []),
      // Thinking has no content on the wire.
      ...(type === "agent.message" ? [delta(id, event.text)] : []),
    ];
  }

  /** The attempt of a turn is over: its blocks are whole, or void. */
  clear(): void {
    this.#begun.clear();
  }
}

function delta(event_id: string, text: string): WireDelta {
  return {
    type: "event_delta",
    event_id,
    delta: { type: "content_delta", index: 0, content: { type: "text", text } },
  };
}
