import { useState } from "preact/hooks";
import type { Json } from "../../wire/json.ts";
import { html, type View } from "../html.ts";
import { contentParts } from "../store/content-parts.ts";
import { agoText, durationText } from "../store/format.ts";
import type { PageContext } from "../store/page-context.ts";
import type { EventOf, ToolState } from "../store/record-items.ts";
import { plain } from "../store/shown-name.ts";
import { type ToolBody, type ToolView, toolViewOf } from "../store/tool-view.ts";
import { ContentView, PlainText, type ReadContent, TextView } from "./content-view.ts";
import { DiffView } from "./diff-view.ts";

interface ToolCallProps {
  readonly context: PageContext;
  readonly read: ReadContent;
  readonly event: EventOf<"tool_use">;
  readonly result: EventOf<"tool_result"> | undefined;
  readonly state: ToolState;
}

/** Tools whose input is what people look for. */
const OPEN: ReadonlySet<ToolBody["kind"]> = new Set<ToolBody["kind"]>(["edits", "todos"]);

/** A shorter path is whole in the line above, in characters; but not on a phone. */
const SHORT_PATH = 80;

/** The use of a tool, with its result. */
export function ToolCall({ context, read, event, result, state }: ToolCallProps): View {
  const view = toolViewOf(event.name, event.input);
  const isOpen = OPEN.has(view.body.kind) || (result !== undefined && hasImage(result.output));
  const [open, setOpen] = useState<boolean | undefined>(undefined);
  const shown = open ?? isOpen;
  return html`<details class="tool" open=${shown} onToggle=${(toggled: Event) => setOpen((toggled.currentTarget as HTMLDetailsElement).open)}>
    <summary>
      <b>${plain(view.label)}</b> <span class="tool-brief">${plain(view.brief)}</span>
      <${ToolStateTag} context=${context} event=${event} result=${result} state=${state} />
    </summary>
    ${shown && html`<${ToolInput} read=${read} view=${view} />`}
    ${shown && result !== undefined && html`<${ToolResult} read=${read} result=${result} />`}
  </details>`;
}

/** The input of a tool. */
export function ToolInput({ read, view }: { readonly read: ReadContent; readonly view: ToolView }): View {
  const { body, brief } = view;
  switch (body.kind) {
    case "edits":
      return html`<div class="tool-part">
        <p class=${brief.length < SHORT_PATH ? "path short" : "path"}>${plain(brief)}</p>
        ${body.edits.map(({ before, after }, index) => html`<${DiffView} key=${index} before=${before} after=${after} label=${brief} />`)}
      </div>`;
    case "command":
      return html`<div class="tool-part command"><${PlainText} text=${body.command} /></div>`;
    case "todos":
      return html`<ul class="tool-part todos">
        ${body.todos.map(
          ({ text, status }) => html`<li class=${`todo is-${status}`}>
            <span class=${status === "completed" ? "task-box done" : "task-box"} role="img" aria-label=${plain(status.replace("_", " "))}></span>
            <span>${plain(text)}</span>
          </li>`,
        )}
      </ul>`;
    case "facts":
      return html`<dl class="tool-part facts">${body.facts.map(([name, value]) => html`<div><dt>${plain(name)}</dt><dd>${plain(value)}</dd></div>`)}</dl>`;
    case "task":
      return html`<div class="tool-part"><${TextView} read=${read} text=${body.prompt} /></div>`;
    case "json":
      return html`<div class="tool-part"><${ContentView} read=${read} value=${jsonShown(body.value)} /></div>`;
  }
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

/** An object's JSON, but a text or blocks as they are. */
function jsonShown(value: Json): Json {
  return typeof value === "object" && value !== null && "$content" in value ? value : JSON.stringify(value, null, 2);
}
