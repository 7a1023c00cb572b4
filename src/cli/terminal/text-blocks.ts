import type { SessionEvent } from "../../client/index.ts";
import { textOf } from "./event-lines.ts";

/**
 * Puts the texts of a stream together: deltas as they come, and what is missing of a block when the whole block comes. Deltas are lost when
 * a connection breaks, or before it began.
 */
export class TextBlocks {
  /** What has been shown of the blocks whose end is not known, by id. */
  readonly #shown = new Map<string, string>();

  /** Returns what to show for an event: undefined if it is no text. */
  take(event: SessionEvent): string | undefined {
    if (event.type === "text_delta") {
      const text = textOf(event.text);
      this.#shown.set(event.block, (this.#shown.get(event.block) ?? "") + text);
      return text;
    }
    if (event.type !== "text") return undefined;
    const whole = textOf(event.text);
    const shown = this.#shown.get(event.block) ?? "";
    this.#shown.delete(event.block);
    const rest = whole.startsWith(shown) ? whole.slice(shown.length) : `\n${whole}`;
    return `${rest}\n`;
  }
}
