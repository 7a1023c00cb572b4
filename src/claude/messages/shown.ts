/** A piece of text or thinking that Claude wrote. */
export interface Delta {
  readonly type: "text" | "thinking";
  readonly text: string;
}

/** A tool that Claude called in a turn. */
export interface ToolUse {
  readonly id: string;
  readonly name: string;
  readonly input: unknown;
  /** The tool call that started the subagent in which this one was made. */
  readonly parentToolUseId?: string;
}

/** A piece of a turn's output, in order. `lost` replaces pieces that are no longer kept. */
export type ShownPiece = Delta | ({ readonly type: "tool_use" } & ToolUse) | { readonly type: "lost" };

/** How many parts of a text to join at a time. A million separate strings would burden the garbage collector. */
const JOINED = 1_024;

interface ShownText {
  readonly type: Delta["type"];
  readonly parts: string[];
  readonly last: string[];
}

function textOfParts({ parts, last }: ShownText): string {
  return [...parts, ...last].join("");
}

/** Collects the pieces that a turn shows, in order. Consecutive pieces of one text become one. */
export class ShownPieces {
  readonly #pieces: (ShownText | (ToolUse & { type: "tool_use" }))[] = [];

  add({ type, text }: Delta): void {
    const last = this.#pieces.at(-1);
    if (text === "") return;
    if (last?.type !== type || !("parts" in last)) {
      this.#pieces.push({ type, parts: [], last: [text] });
      return;
    }
    last.last.push(text);
    if (last.last.length === JOINED) last.parts.push(last.last.splice(0).join(""));
  }

  use(tool: ToolUse): void {
    this.#pieces.push({ type: "tool_use", ...tool });
  }

  get all(): ShownPiece[] {
    return this.#pieces.map((piece) =>
      "parts" in piece ? { type: piece.type, text: textOfParts(piece) } : { ...piece },
    );
  }

  get text(): string {
    return this.#pieces.flatMap((piece) => (piece.type === "text" ? [textOfParts(piece)] : [])).join("");
  }
}
