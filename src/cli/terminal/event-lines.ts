import type { EventText, Json, SessionEvent } from "../../client/index.ts";
import { printable } from "../../printable.ts";
import { styled } from "./colors.ts";
import { cut, dollars, oneLine, shortBytes, shortDuration } from "./text.ts";

/** How much of a tool's input and output is shown, in columns. */
const LONGEST = 160;

/**
 * Formats an event of a session for people: a text as it is, everything else as one line. Returns undefined for an event that tells people
 * nothing.
 */
export function eventLines(event: SessionEvent): string | undefined {
  switch (event.type) {
    case "turn_accepted": {
      const prompt = styled("bold", `> ${event.prompt === undefined ? `[${event.origin}]` : textOf(event.prompt)}`);
      return prompt + asker(event.by);
    }
    case "turn_retried":
      return styled("yellow", `! the turn runs again: ${oneLine(event.reason)}`);
    case "steered":
      return styled("bold", `>> ${textOf(event.text)}`) + asker(event.by);
    case "text":
      return textOf(event.text);
    case "thinking":
      return styled("dim", textOf(event.text));
    case "tool_use":
      return styled("cyan", `* ${oneLine(event.name)} ${shown(event.input)}`);
    case "tool_result":
      return styled(event.failed ? "red" : "dim", `  ${event.failed ? "failed: " : ""}${shown(event.output)}`);
    case "approval_requested":
      return styled("yellow", `? ${oneLine(event.title ?? event.tool)} ${shown(event.input)}  (approval ${event.id})`);
    case "approval_settled": {
      const by = event.by === undefined ? "" : ` by ${oneLine(event.by)}`;
      return styled("yellow", `? ${event.outcome}${by}  (approval ${event.id})`);
    }
    case "turn_ended":
      return endLine(event);
    case "exit":
      return styled("red", `! the process ended: ${oneLine(event.exit.message)}`);
    case "quarantined":
      return styled("red", "! the session is quarantined");
    case "fault":
      return styled("red", `! ${oneLine(event.fault.message)}`);
    case "started":
      return styled("dim", `- the process has started (${event.reason})`);
    case "hibernated":
      return styled("dim", "- the session hibernates");
    case "conversation":
      return styled("dim", `- the conversation is ${event.change === "cut_back" ? "cut back" : event.change}`);
    case "compacted":
      return styled("dim", "- the conversation is compacted");
    case "model_changed":
      return styled("dim", `- the model is ${oneLine(event.model)}`);
    case "permission_mode_changed":
      return styled("dim", `- the permission mode is ${oneLine(event.mode)}`);
    case "task_started":
      return styled("dim", `- background task: ${oneLine(event.task.description)}`);
    case "task_ended":
      return styled("dim", `- background task ${oneLine(event.taskId)} has ended: ${oneLine(event.status ?? "")}`);
    case "lost":
      return styled("red", `! ${event.events} events were lost`);
    case "pruned":
      return styled("dim", `- events before ${event.oldest} are no longer kept`);
    default:
      return undefined;
  }
}

/** Returns who gave a prompt, to be written behind it. */
function asker(by: string | undefined): string {
  return by === undefined ? "" : styled("dim", `  (by ${oneLine(by)})`);
}

function endLine(event: SessionEvent & { readonly type: "turn_ended" }): string {
  const facts = [
    ...(event.durationMs === undefined ? [] : [shortDuration(event.durationMs)]),
    ...(event.costUsd === undefined ? [] : [dollars(event.costUsd)]),
    ...(event.error === undefined ? [] : [`${event.error.code}: ${oneLine(event.error.message)}`]),
  ];
  const line = `= ${event.state}${facts.length === 0 ? "" : ` (${facts.join(", ")})`}`;
  return styled(event.state === "completed" ? "green" : "red", line);
}

/** Returns a text, or what stands for one that the event only refers to. */
export function textOf(text: EventText): string {
  return typeof text === "string" ? printable(text) : `[${oneLine(text.mediaType)}, ${shortBytes(text.size)}]`;
}

function shown(value: Json): string {
  return cut(oneLine(typeof value === "string" ? value : JSON.stringify(value)), LONGEST);
}
