import { Component, type ComponentChildren, render } from "preact";
import type { RecordedEvent } from "../../wire/event-types.ts";
import { html, type View } from "../html.ts";
import { fullTimeText, timeText } from "../store/format.ts";
import type { PageContext } from "../store/page-context.ts";
import { type RecordItem, sameItem } from "../store/record-items.ts";
import { plain } from "../store/shown-name.ts";
import { ApprovalView } from "./approval-view.ts";
import { ContentView, type ReadContent, TextView } from "./content-view.ts";
import { NoteView } from "./note-view.ts";
import { ToolCall, ToolResult } from "./tool-call.ts";
import { TurnEnd } from "./turn-end.ts";

interface TimelineItemProps {
  readonly context: PageContext;
  readonly read: ReadContent;
  readonly item: RecordItem;
  /** Whether somebody asked for the event. */
  readonly asked: boolean;
}

/**
 * What is shown of an event. It is made again only if it has changed, and is a root of its own: Preact links what it keeps to everything that
 * has been beside it, and a reader who scrolls on would fill the memory.
 */
export class TimelineItem extends Component<TimelineItemProps> {
  #root: Element | null = null;

  override shouldComponentUpdate(next: TimelineItemProps): boolean {
    if (next.asked !== this.props.asked || !sameItem(next.item, this.props.item)) this.#show(next);
    return false;
  }

  override componentDidMount(): void {
    this.#show(this.props);
  }

  override componentWillUnmount(): void {
    if (this.#root !== null) render(null, this.#root);
  }

  override render(): View {
    const keep = (root: Element | null): void => {
      this.#root = root ?? this.#root;
    };
    return html`<div ref=${keep}></div>`;
  }

  #show(props: TimelineItemProps): void {
    if (this.#root !== null) render(itemView(props), this.#root);
  }
}

function itemView({ context, read, item, asked }: TimelineItemProps): View {
  const { event, result, settled, subagent, turn } = item;
  const kind = kindOf(event);
  const classes = [
    "item",
    `is-${kind}`,
    turn === "" ? undefined : `turn-${turn}`,
    subagent === undefined ? undefined : "of-subagent",
    asked ? "asked" : undefined,
  ];
  const others = [result, settled].filter((other) => other !== undefined);
  return html`<article
    class=${classes.filter((name) => name !== undefined).join(" ")}
    id=${`event-${event.number}`}
    aria-label=${`${LABELS[kind]} ${event.number}`}
  >
    ${others.map(({ number }) => html`<span key=${number} id=${`event-${number}`} class="also"></span>`)}
    <header>
      <b>${whoOf(event)}</b>
      ${subagent !== undefined && html`<span class="tag" title="Of a subagent">${plain(subagent)}</span>`}
      <a href=${`#event-${event.number}`} title=${`${fullTimeText(event.at)}, event ${event.number}`}>${timeText(event.at, Date.now())}</a>
    </header>
    <div class="item-body">${bodyOf(context, read, item)}</div>
  </article>`;
}

type Kind = "prompt" | "text" | "thinking" | "tool" | "approval" | "end" | "note";

const LABELS: Readonly<Record<Kind, string>> = {
  prompt: "Prompt",
  text: "Text",
  thinking: "Thinking",
  tool: "Tool",
  approval: "Approval",
  end: "End of a turn",
  note: "Event",
};

function kindOf({ type }: RecordedEvent): Kind {
  switch (type) {
    case "turn_accepted":
    case "steered":
      return "prompt";
    case "text":
    case "thinking":
      return type;
    case "tool_use":
    case "tool_result":
      return "tool";
    case "approval_requested":
    case "approval_settled":
      return "approval";
    case "turn_ended":
      return "end";
    default:
      return "note";
  }
}

function whoOf(event: RecordedEvent): string | undefined {
  switch (event.type) {
    case "turn_accepted":
      return event.by === undefined ? event.origin : plain(event.by);
    case "steered":
      return event.by === undefined ? "steered" : `${plain(event.by)}, steered`;
    case "text":
      return event.cut === true ? "Claude, cut" : "Claude";
    default:
      return undefined;
  }
}

function bodyOf(context: PageContext, read: ReadContent, item: RecordItem): ComponentChildren {
  const { event, result, settled, state } = item;
  switch (event.type) {
    case "turn_accepted": {
      const { prompt, blocks } = event;
      if (blocks !== undefined) return html`<${ContentView} read=${read} value=${blocks} markdown=${true} />`;
      return prompt === undefined
        ? html`<i class="quiet">No text</i>`
        : html`<${TextView} read=${read} text=${prompt} />`;
    }
    case "steered":
    case "text":
      return html`<${TextView} read=${read} text=${event.text} />`;
    case "thinking":
      return html`<details class="thinking"><summary>Thinking</summary><${TextView} read=${read} text=${event.text} /></details>`;
    case "tool_use":
      return html`<${ToolCall} context=${context} read=${read} event=${event} result=${result} state=${state} />`;
    case "tool_result":
      return html`<details class="tool">
        <summary><b>Result</b> <span class="tool-brief">of a tool whose use is not shown</span> ${event.failed && html`<span class="tag bad">failed</span>`}</summary>
        <${ToolResult} read=${read} result=${event} />
      </details>`;
    case "approval_requested":
    case "approval_settled":
      return html`<${ApprovalView} context=${context} read=${read} event=${event} settled=${settled} state=${state} />`;
    case "turn_ended":
      return html`<${TurnEnd} event=${event} />`;
    default:
      return html`<${NoteView} event=${event} read=${read} />`;
  }
}
