import type { JsonObject } from "../../wire/json.ts";
import { html, type View } from "../html.ts";
import { plain } from "../store/shown-name.ts";
import { type InputPart, inputParts } from "../store/tool-input.ts";
import { DiffView } from "./diff-view.ts";
import { LongText } from "./long-text.ts";

/** All of a tool's input, for somebody who decides about it. */
export function ToolInput({ tool, input }: { readonly tool: string; readonly input: JsonObject }): View {
  const parts = inputParts(tool, input);
  if (parts.length === 0) return html`<p class="quiet">The tool gets no input.</p>`;
  return html`<div class="tool-parts">${parts.map((part, index) => html`<${Part} key=${index} part=${part} />`)}</div>`;
}

function Part({ part }: { readonly part: InputPart }): View {
  switch (part.kind) {
    case "command":
      return html`<${LongText} text=${part.command} label="Command" />`;
    case "plan":
      return html`<${LongText} text=${part.plan} label="Plan" kind="words" />`;
    case "diff": {
      const path = plain(part.path);
      return html`<figure class="tool-diff">
        <figcaption><code>${path}</code>${part.note !== undefined && html` <span>${part.note}</span>`}</figcaption>
        <${DiffView} before=${part.before} after=${part.after} label=${path} />
      </figure>`;
    }
    case "fields":
      return html`<dl class="tool-fields">
        ${part.fields.map(({ name, text }) => [
          html`<dt key=${`${name} name`}>${plain(name)}</dt>`,
          html`<dd key=${name}>
            ${text.length > 200 || text.includes("\n") ? html`<${LongText} text=${text} label=${plain(name)} />` : html`<code>${plain(text)}</code>`}
          </dd>`,
        ])}
      </dl>`;
  }
}
