import type { ErrorCode } from "../../src/errors.ts";
import { NOTICED } from "../real/keyed-model.ts";
import type { ChaosRecord, ChaosTurn } from "./chaos-run.ts";

type Entry = ChaosRecord["journal"]["turns"][number];

/** The codes with which a turn may end for its caller, and the journal states that each code allows. */
const ENDS: Readonly<Partial<Record<ErrorCode, readonly string[]>>> = {
  TURN_INTERRUPTED: ["interrupted"],
  TURN_TIMEOUT: ["timed_out"],
  TURN_FAILED: ["failed"],
  TURN_CANCELLED: ["cancelled"],
  CAPACITY_EXHAUSTED: ["cancelled", "timed_out"],
  QUEUE_TIMEOUT: ["cancelled", "timed_out"],
  // These codes refuse a turn before it is accepted.
  MAILBOX_FULL: [],
  JOURNAL_UNAVAILABLE: [],
  DATABASE_UNAVAILABLE: [],
  SESSION_STOPPED: ["cancelled", "interrupted"],
};

/** Returns every violation of the invariants. Empty if there is none. */
export function faultsIn(record: ChaosRecord): string[] {
  const { journal, target } = record;
  const byPrompt = Map.groupBy(journal.turns, ({ prompt }) => prompt);
  return [
    ...record.complaints,
    ...(journal.integrity.join() === "ok" ? [] : [`the file is damaged: ${journal.integrity.join("; ")}`]),
    ...(record.left.length === 0 ? [] : [`processes were left: ${record.left.join()}`]),
    ...target.doubled.map((key) => `${key} occurs twice in a conversation`),
    ...target.transcriptFaults(),
    ...[...record.unprompted].flatMap(([id, ends]) => unpromptedFaults(id, ends, record)),
    ...record.turns.flatMap((turn) => turnFaults(turn, byPrompt.get(turn.prompt) ?? [], record)),
  ];
}

/** Checks that a turn that Claude Code began ended once, and did not answer a caller's prompt. */
function unpromptedFaults(id: string, ends: readonly string[], { turns, around }: ChaosRecord): string[] {
  const [end] = ends;
  if (ends.length !== 1) return [`the turn ${id} that Claude Code began by itself ended ${ends.length} times`];
  // A task that ended with its process is reported in a turn that does not ask the model.
  if (end === NOTICED || end === "" || end === "interrupted" || end === "failed") return [];
  const answered = turns.find((turn) => turn.key === keyAnsweredBy(end));
  if (answered !== undefined && mayHaveKeptPrompt(answered)) return [];
  const told = JSON.stringify(answered?.outcomes);
  const trace = answered === undefined ? "" : around(answered, id);
  return [
    `the turn ${id} that Claude Code began by itself ended with "${end}", and its caller was told ${told}\n${trace}`,
  ];
}

/** Returns the key of the prompt that a text answers. */
function keyAnsweredBy(answer: string | undefined): string | undefined {
  return /^(k\d+) answer /.exec(answer ?? "")?.[1];
}

/**
 * Whether the prompt may have failed right before Claude Code began a turn, so that it could not be taken out of the
 * conversation. The caller's error says so, unless the turn had timed out before.
 */
function mayHaveKeptPrompt({ outcomes }: ChaosTurn): boolean {
  return (
    outcomes.length > 0 &&
    outcomes.every((one) => "code" in one && (one.conversation === "kept" || one.code === "TURN_TIMEOUT"))
  );
}

function turnFaults(turn: ChaosTurn, entries: readonly Entry[], record: ChaosRecord): string[] {
  const { target, around } = record;
  const { key, prompt, outcomes } = turn;
  const [entry] = entries;
  const { prompts = 0, answers = 0 } = target.model.get(key) ?? {};
  const ends = [...record.unprompted.values()].flat();
  const answeredLater = mayHaveKeptPrompt(turn) && ends.some((end) => keyAnsweredBy(end) === key);
  const most = (entry?.attempts ?? 0) + (answeredLater ? 1 : 0);
  const done = target.appended.filter((appended) => appended === key).length;
  const faults = [
    ...(entries.length > 1 ? ["is in the journal more than once"] : []),
    ...(outcomes.length === 0 ? ["has no outcome"] : []),
    ...(entry?.state === "queued" || entry?.state === "running" ? ["has not ended"] : []),
    ...outcomes.flatMap((end) => endFaults(end, entry, key)),
    ...(done > 1 ? [`was done ${done} times`] : []),
    ...(done > 0 && !prompt.startsWith("append") ? ["was done, and nobody asked for it"] : []),
    ...(prompt.startsWith("append") && entry?.state === "completed" && done !== 1
      ? ["completed, and was not done"]
      : []),
    ...(prompts > most || answers > most ? [`reached the model ${prompts} times, at most ${most} are right`] : []),
  ];
  const words = `"${entry?.id ?? key}"`;
  return faults.map((fault) => `${prompt} ${fault}: ${JSON.stringify({ outcomes, entries })}\n${around(turn, words)}`);
}

function endFaults(end: ChaosTurn["outcomes"][number], entry: Entry | undefined, key: string): string[] {
  if ("text" in end) {
    return [
      ...(end.text.startsWith(`${key} answer `) ? [] : [`was answered with "${end.text}"`]),
      ...(entry?.id === end.id && entry.state === "completed" && entry.text === end.text
        ? []
        : ["completed, and the journal has another outcome"]),
    ];
  }
  const states = ENDS[end.code];
  if (states === undefined) return [`ended with ${end.code}`];
  return entry === undefined || states.includes(entry.state)
    ? []
    : [`ended with ${end.code} and stands as ${entry.state}`];
}
