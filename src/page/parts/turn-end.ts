import { html, type View } from "../html.ts";
import { countText, dollarsText, durationText } from "../store/format.ts";
import type { EventOf } from "../store/record-items.ts";
import { plain } from "../store/shown-name.ts";
import { LongText } from "./long-text.ts";

/** How a turn ended, and what it took. */
export function TurnEnd({ event }: { readonly event: EventOf<"turn_ended"> }): View {
  const { state, error, usage, costUsd, durationMs, model, structured, conversation } = event;
  const cached = usage === undefined ? 0 : usage.cacheReadInputTokens + usage.cacheCreationInputTokens;
  const facts = [
    durationMs === undefined ? undefined : durationText(durationMs),
    costUsd === undefined ? undefined : dollarsText(costUsd),
    usage === undefined
      ? undefined
      : `${countText(usage.inputTokens + cached)} tokens in, ${countText(usage.outputTokens)} out`,
    model === undefined ? undefined : plain(model),
    conversation === "undone" ? "taken out of the conversation" : undefined,
    conversation === "cut_back" ? "conversation cut back" : undefined,
  ];
  return html`<div class=${state === "completed" ? "turn-end" : "turn-end bad"}>
      <b class="ended">${state.replace("_", " ")}</b>
      ${facts.filter((fact) => fact !== undefined).map((fact) => html`<span key=${fact}>${fact}</span>`)}
    </div>
    ${error !== undefined && html`<p class="turn-error">${plain(error.message)}</p>`}
    ${structured !== undefined && html`<details class="folded"><summary>Structured output</summary><${LongText} text=${JSON.stringify(structured, null, 2)} label="JSON" kind="output" /></details>`}`;
}
