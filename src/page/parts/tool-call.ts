import { useMemo, useState } from "preact/hooks";
import type { Json } from "../../wire/json.ts";
import { html, type View } from "../html.ts";
import { contentParts } from "../store/content-parts.ts";
import { agoText, durationText } from "../store/format.ts";
import type { PageContext } from "../store/page-context.ts";
import type { EventOf, ToolState } from "../store/record-items.ts";
import { plain } from "../store/shown-name.ts";
import { type InputPart, toolInputOf } from "../store/tool-input.ts";
import { ContentView, type ReadContent } from "./content-view.ts";
import { ToolInputView } from "./tool-input.ts";

interface ToolCallProps {
  readonly context: PageContext;
  readonly read: ReadContent;
  readonly event: EventOf<"tool_use">;
  readonly result: EventOf<"tool_result"> | undefined;
  readonly state: ToolState;
}

/** Tools whose input is what people look for. */
const OPEN: ReadonlySet<InputPart["kind"]> = new Set<InputPart["kind"]>(["edits", "todos"]);

/** The use of a tool, with its result. */
export function ToolCall({ context, read, event, result, state }: ToolCallProps): View {
  const input = useMemo(() => toolInputOf(event.name, event.input), [event]);
  const isOpen = input.parts.some(({ kind }) => OPEN.has(kind)) || (result !== undefined && hasImage(result.output));
  const [open, setOpen] = useState<boolean | undefined>(undefined);
  const shown = open ?? isOpen;
  return html`<details class="tool" open=${shown} onToggle=${(toggled: Event) => setOpen((toggled.currentTarget as HTMLDetailsElement).open)}>
    <summary>
      <b>${plain(input.label)}</b> <span class="tool-brief">${plain(input.brief)}</span>
      <${ToolStateTag} context=${context} event=${event} result=${result} state=${state} />
    </summary>
    ${shown && html`<${ToolInputView} input=${input} show=${shownWith(read)} />`}
    ${shown && result !== undefined && html`<${ToolResult} read=${read} result=${result} />`}
  </details>`;
}

/** Returns how the record shows words, and what is stored apart. */
export function shownWith(read: ReadContent): (value: Json) => View {
  return (value) => html`<${ContentView} read=${read} value=${value} markdown=${true} />`;
}

/** A result that has come, with or without its use. */
export function ToolResult({
  read,
  result,
}: {
  readonly read: ReadContent;
  readonly result: EventOf<"tool_result">;
}): View {
  const parts = contentParts(result.output);
  return html`<div class=${result.failed ? "tool-part result failed" : "tool-part result"}>
    ${result.taskId !== undefined && html`<p class="quiet">It goes on as a background task.</p>`}
    ${parts.length === 0 ? html`<p class="quiet">No output</p>` : html`<${ContentView} read=${read} value=${result.output} />`}
  </div>`;
}

type StateProps = Pick<ToolCallProps, "context" | "event" | "result" | "state">;

function ToolStateTag({ context, event, result, state }: StateProps): View {
  switch (state) {
    case "running":
      return html`<span class="tag busy">running for ${agoText(event.at, context.fleet.now.value).replace("now", "a moment")}</span>`;
    case "asking":
      return html`<span class="tag warn">waits for approval</span>`;
    case "failed":
      return html`<span class="tag bad">failed</span>`;
    case "cut":
      return html`<span class="tag warn">no result</span>`;
    case "unknown":
      return null;
    case "done":
      return html`<span class="tag">${result === undefined ? "done" : durationText(result.at - event.at)}</span>`;
  }
}

function hasImage(output: Json): boolean {
  return contentParts(output).some(({ kind }) => kind === "image");
}
