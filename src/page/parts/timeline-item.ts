import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { EventText, RecordedEvent } from "../../wire/event-types.ts";
import type { Json } from "../../wire/json.ts";
import { html, type View } from "../html.ts";
import { dollarsText, fullTimeText, timeText } from "../store/format.ts";
import type { Name } from "../store/name.ts";
import type { PageContext } from "../store/page-context.ts";
import { plain, plainLines } from "../store/shown-name.ts";
import { shortOf } from "../store/timeline.ts";

interface TimelineItemProps {
  readonly context: PageContext;
  readonly name: Name;
  readonly event: RecordedEvent;
  readonly result: Extract<RecordedEvent, { type: "tool_result" }> | undefined;
}

/** An event of a session's record; nothing for those that only programs need. */
export function TimelineItem(props: TimelineItemProps): View {
  const { event, context, name, result } = props;
  const words = (text: EventText): View => html`<${Words} context=${context} name=${name} text=${text} />`;
  switch (event.type) {
    case "turn_accepted": {
      const by = event.by === undefined ? event.origin : plain(event.by);
      return item(event, "prompt", by, event.prompt === undefined ? html`<i>content blocks</i>` : words(event.prompt));
    }
    case "steered":
      return item(event, "prompt", "steered", words(event.text));
    case "text":
      return item(event, "text", "Claude", words(event.text));
    case "thinking":
      return item(
        event,
        "thinking",
        undefined,
        html`<details><summary>Thinking</summary>${words(event.text)}</details>`,
      );
    case "tool_use":
      return item(event, "tool", undefined, html`<${ToolUse} event=${event} result=${result} />`);
    case "approval_requested":
      return item(event, "note warn", undefined, `asks for approval of ${plain(event.tool)}`);
    case "approval_settled":
      return item(
        event,
        "note",
        undefined,
        `${event.outcome}${event.by === undefined ? "" : ` by ${plain(event.by)}`}`,
      );
    case "started":
      return item(event, "note", undefined, `process ${event.pid ?? ""} started (${event.reason})`);
    case "exit": {
      const { exit } = event;
      const stderr =
        exit.stderr === undefined || exit.stderr === ""
          ? null
          : html`<details><summary>stderr</summary><pre>${plainLines(exit.stderr)}</pre></details>`;
      const tone = exit.class === "done" ? "note" : "note bad";
      return item(event, tone, undefined, html`${plain(exit.message)}${stderr}`);
    }
    case "quarantined":
      return item(event, "note bad", undefined, "quarantined");
    case "hibernated":
      return item(event, "note", undefined, "hibernated");
    case "turn_retried":
      return item(event, "note warn", undefined, `the turn starts over: ${plain(event.reason)}`);
    case "turn_ended":
      return item(event, event.state === "completed" ? "note end" : "note end bad", undefined, endText(event));
    case "conversation":
      return item(event, "note", undefined, `conversation ${event.change.replace("_", " ")}`);
    case "compacted":
      return item(event, "note", undefined, "conversation compacted");
    case "fault":
      return item(event, "note bad", undefined, plain(event.fault.message));
    case "task_started":
      return item(event, "note", undefined, `background task: ${plain(event.task.description)}`);
    case "lost":
      return item(event, "note bad", undefined, `${event.events} events were lost`);
    default:
      return null;
  }
}

function item(event: RecordedEvent, kind: string, who: string | undefined, content: ComponentChildren): View {
  const label = kind.split(" ")[0];
  return html`<article class=${`item is-${kind}`} id=${`event-${event.number}`} aria-label=${`${label} ${event.number}`}>
    <header>
      ${who !== undefined && html`<b>${who}</b>`}
      <a href=${`#event-${event.number}`} title=${`${fullTimeText(event.at)}, event ${event.number}`}>
        ${timeText(event.at, Date.now())}
      </a>
    </header>
    <div class="item-body">${content}</div>
  </article>`;
}

function endText({ state, error, costUsd, durationMs }: Extract<RecordedEvent, { type: "turn_ended" }>): string {
  const facts = [
    state.replace("_", " "),
    error === undefined ? undefined : plain(error.message),
    durationMs === undefined ? undefined : `${(durationMs / 1_000).toFixed(1)} s`,
    costUsd === undefined ? undefined : dollarsText(costUsd),
  ];
  return facts.filter((fact) => fact !== undefined).join(" · ");
}

/** A text; one that is stored apart is read when somebody asks. */
function Words({
  context,
  name,
  text,
}: {
  readonly context: PageContext;
  readonly name: Name;
  readonly text: EventText;
}): View {
  const [read, setRead] = useState<string | undefined>(undefined);
  if (typeof text === "string") return html`<div class="words">${plainLines(text)}</div>`;
  if (read !== undefined) return html`<div class="words">${plainLines(read)}</div>`;
  const load = async (): Promise<void> => {
    try {
      setRead(new TextDecoder().decode((await context.link.client.session(name).content(text)).data));
    } catch (error) {
      setRead(`It cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  return html`<button class="button small" type="button" onClick=${load}>Show ${shortOf(text)}</button>`;
}

type ToolUseEvent = Extract<RecordedEvent, { type: "tool_use" }>;

function ToolUse({
  event,
  result,
}: {
  readonly event: ToolUseEvent;
  readonly result: TimelineItemProps["result"];
}): View {
  const state = result === undefined ? "no result" : result.failed ? "failed" : "done";
  return html`<details>
    <summary><b>${plain(event.name)}</b> <span class="tool-input">${plain(briefly(event.input))}</span>
      <span class=${result?.failed === true ? "tag bad" : "tag"}>${state}</span></summary>
    <pre>${plainLines(pretty(event.input))}</pre>
    ${result !== undefined && html`<pre>${plainLines(pretty(result.output))}</pre>`}
  </details>`;
}

function briefly(input: Json): string {
  const [first] = typeof input === "object" && input !== null ? Object.values(input) : [input];
  return (typeof first === "string" ? first : JSON.stringify(first ?? "")).slice(0, 120);
}

function pretty(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
