import type { Json } from "../../wire/json.ts";
import { html, type View } from "../html.ts";
import { isStored } from "../store/content-parts.ts";
import { plain } from "../store/shown-name.ts";
import { type InputPart, inputText, type ToolInput } from "../store/tool-input.ts";
import { DiffView } from "./diff-view.ts";
import { Facts } from "./facts.ts";
import { LongText } from "./long-text.ts";

interface ToolInputViewProps {
  readonly input: ToolInput;
  /** How words, and what is stored apart, are shown. By default as the exact text, for somebody who decides about it. */
  readonly show?: (value: Json) => View;
}

/** A shorter path is whole in the line above, in characters; but not on a phone. */
const SHORT_PATH = 80;

/** All of a tool's input. */
export function ToolInputView({ input: { parts }, show }: ToolInputViewProps): View {
  if (parts.length === 0) return html`<p class="tool-part quiet">The tool gets no input.</p>`;
  return html`${parts.map((part, index) => html`<div key=${index} class="tool-part">${partView(part, show)}</div>`)}`;
}

function partView(part: InputPart, show: ToolInputViewProps["show"]): View {
  switch (part.kind) {
    case "command":
      return html`<${LongText} text=${part.command} label="Command" kind="command" />`;
    case "words":
      return show?.(part.text) ?? html`<${LongText} text=${inputText(part.text)} label=${part.name} kind="words" />`;
    case "edits": {
      const path = plain(part.path ?? "");
      return html`${path !== "" && html`<p class=${path.length < SHORT_PATH ? "path short" : "path"}>${path}</p>`}
        ${part.edits.map(
          ({ before, after, note }, index) => html`<figure key=${index}>
            ${note !== undefined && html`<figcaption>${note}</figcaption>`}
            <${DiffView} before=${before} after=${after} label=${path} />
          </figure>`,
        )}`;
    }
    case "todos":
      return html`<ul class="todos">
        ${part.todos.map(
          ({ content, status, activeForm = "" }) => html`<li class=${`todo is-${status}`} title=${plain(activeForm)}>
            <span class=${status === "completed" ? "task-box done" : "task-box"} role="img" aria-label=${plain(status.replace("_", " "))}></span>
            <span>${plain(content)}</span>
          </li>`,
        )}
      </ul>`;
    case "fields":
      return html`<${Facts} facts=${part.fields.map(([name, value]) => [plain(name), fieldView(name, value, show)])} />`;
  }
}

function fieldView(name: string, value: Json, show: ToolInputViewProps["show"]): View {
  if (isStored(value) && show !== undefined) return show(value);
  const text = inputText(value);
  return text.length > 200 || text.includes("\n")
    ? html`<${LongText} text=${text} label=${plain(name)} />`
    : html`<code>${plain(text)}</code>`;
}
