import type { ComponentChildren } from "preact";
import type { RecordedEvent } from "../../wire/event-types.ts";
import { html, type View } from "../html.ts";
import { countText, dollarsText, plural, timeText } from "../store/format.ts";
import type { EventOf } from "../store/record-items.ts";
import { plain } from "../store/shown-name.ts";
import { ContentView, type ReadContent, TextView } from "./content-view.ts";
import { LongText } from "./long-text.ts";

interface NoteViewProps {
  readonly event: RecordedEvent;
  readonly read: ReadContent;
}

/** What happened to a session beside its turns. */
export function NoteView({ event, read }: NoteViewProps): View {
  const { tone, text, more } = noteOf(event, read);
  return html`<div class=${`note ${tone}`}><span class="note-text">${text}</span>${more}</div>`;
}

interface Note {
  /** How serious it is: `mark` stands out among texts. */
  readonly tone: "" | "mark" | "warn" | "bad";
  readonly text: string;
  readonly more?: ComponentChildren;
}

const STARTS: Readonly<Record<string, string>> = {
  start: "Started",
  restart: "Restarted",
  wake: "Woken",
  replace: "Replaced by a fresh process",
};

function noteOf(event: RecordedEvent, read: ReadContent): Note {
  switch (event.type) {
    case "started": {
      const pid = event.pid === undefined ? "" : ` · process ${event.pid}`;
      return { tone: "mark", text: `${STARTS[event.reason] ?? plain(event.reason)}${pid}` };
    }
    case "exit":
      return exitNote(event);
    case "quarantined":
      return { tone: "bad", text: "Quarantined: the supervisor restarts it no more" };
    case "hibernated":
      return { tone: "mark", text: "Hibernated" };
    case "turn_retried":
      return { tone: "warn", text: `The turn starts over: ${words(event.reason)}` };
    case "turn_started":
      return { tone: "", text: `Attempt ${event.attempt} began` };
    case "steer_settled":
      return { tone: "", text: `The message to the turn was ${event.outcome}` };
    case "conversation":
      return { tone: "mark", text: `Conversation ${words(event.change)}` };
    case "compacted": {
      const { tokensBefore: before, tokensAfter: after } = event;
      const tokens =
        before === undefined || after === undefined ? "" : `: ${countText(before)} to ${countText(after)} tokens`;
      return { tone: "mark", text: `Conversation compacted${tokens}` };
    }
    case "model_changed":
      return { tone: "", text: `Model: ${plain(event.model)}` };
    case "permission_mode_changed":
      return { tone: "", text: `Permission mode: ${plain(event.mode)}` };
    case "spent":
      return {
        tone: "",
        text: event.models.map(({ model, costUsd }) => `${plain(model)}: ${dollarsText(costUsd)}`).join(", "),
      };
    case "fault":
      return { tone: "bad", text: plain(event.fault.message) };
    case "lost":
      return { tone: "bad", text: `${plural(event.events, "event")} could not be written` };
    case "noted":
      return {
        tone: "",
        text: `${event.by === undefined ? "" : `${plain(event.by)}: `}${plain(event.kind)}`,
        more: event.data !== undefined && html`<${ContentView} read=${read} value=${event.data} />`,
      };
    case "message_recorded":
      return {
        tone: "",
        text: "Message of the Agent SDK",
        more: folded("JSON", html`<${ContentView} read=${read} value=${event.raw} />`),
      };
    case "unknown":
      return {
        tone: "",
        text: `${plain(event.name)}, of another release`,
        more: folded(
          "JSON",
          html`<${LongText} text=${JSON.stringify(event.body, null, 2)} label="JSON" kind="output" />`,
        ),
      };
    default:
      return taskNote(event, read);
  }
}

function taskNote(event: RecordedEvent, read: ReadContent): Note {
  switch (event.type) {
    case "task_started":
      return { tone: "", text: `Background task began: ${plain(event.task.description)}` };
    case "task_overdue":
      return { tone: "warn", text: `Background task takes long: ${plain(event.task.description)}` };
    case "task_ended": {
      const { status = "", summary } = event;
      return {
        tone: status === "failed" ? "bad" : "",
        text: `Background task ended ${plain(status)}`,
        more: summary !== undefined && html`<${TextView} read=${read} text=${summary} />`,
      };
    }
    case "wakeup_scheduled": {
      const due = event.due === undefined ? "" : ` for ${timeText(event.due, Date.now())}`;
      return { tone: "", text: `${event.recurring ? "Recurring wakeup" : "Wakeup"} scheduled${due}` };
    }
    case "wakeup_fired":
      return { tone: "", text: "A scheduled turn is due" };
    case "wakeup_cancelled":
      return { tone: "", text: "Wakeup cancelled" };
    default:
      return { tone: "", text: words(event.type) };
  }
}

function exitNote({ exit }: EventOf<"exit">): Note {
  const { class: kind, message, code, signal, pid, stderr = "" } = exit;
  const facts = [
    kind === "done" ? undefined : words(kind),
    code === undefined ? undefined : `code ${code}`,
    signal === undefined ? undefined : plain(signal),
    pid === undefined ? undefined : `process ${pid}`,
  ].filter((fact) => fact !== undefined);
  return {
    tone: kind === "done" ? "mark" : "bad",
    text: plain(message),
    more: html`${facts.map((fact) => html`<span class="tag" key=${fact}>${fact}</span>`)}
      ${stderr.trim() !== "" && folded("stderr", html`<${LongText} text=${stderr} label="stderr" kind="output" />`)}`,
  };
}

function folded(title: string, content: ComponentChildren): View {
  return html`<details class="folded"><summary>${title}</summary>${content}</details>`;
}

function words(text: string): string {
  return plain(text.replaceAll("_", " "));
}
