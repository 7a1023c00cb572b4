import type { AskedTurn } from "./asked-turns.ts";
import { answersIn, type KeyedTurn, LAST_PROMPT, promptsOf, USAGE } from "./keyed-model.ts";
import type { KillRecord } from "./random-kills.ts";

/** Returns every violation of the invariants after repeated kills. Empty if there is none. */
export function faultsIn(record: KillRecord): string[] {
  return [
    ...record.complaints,
    ...(record.journal.integrity.join() === "ok"
      ? []
      : [`the file is damaged: ${record.journal.integrity.join("; ")}`]),
    ...(record.left.length === 0 ? [] : [`processes were left: ${record.left.join()}`]),
    ...(record.spent === undefined ? ["the last life did not end in order"] : []),
    ...record.turns.flatMap((turn) => turnFaults(turn, record)),
    ...[...record.model.doubled].map(([key, request]) => `${key} occurs twice in request ${request}`),
    ...memoryFaults(record),
    ...costFaults(record),
  ];
}

type Entry = KillRecord["journal"]["turns"][number];

function turnFaults(turn: AskedTurn, record: KillRecord): string[] {
  const { key, prompt, how, ids, ends } = turn;
  const entries = record.journal.turns.filter((entry) => entry.prompt === prompt);
  const [entry] = entries;
  const facts = `${prompt} (${how}, asked ${turn.asked} times): ${JSON.stringify({ ids, ends, entries })}`;
  const faults = [
    // A query may be lost with the application before it was accepted.
    ...(how === "enqueue" && entry === undefined ? ["is not in the journal"] : []),
    ...(entries.length > 1 ? ["is in the journal more than once"] : []),
    ...(entry !== undefined && ids.some((id) => id !== entry.id) ? ["has had another id"] : []),
    ...(how === "enqueue" ? endFaults(entry, ends) : []),
    ...(entry?.state === "queued" || entry?.state === "running" ? ["has not ended"] : []),
    ...effectFaults(turn, entry, record.appended.filter((appended) => appended === key).length, turnOf(record, key)),
    ...modelFaults(entry, turnOf(record, key)),
  ];
  return faults.map((fault) => `${key} ${fault}: ${facts}`);
}

/** An enqueued turn is never cancelled. It completes, or is interrupted after it began. */
function endFaults(entry: Entry | undefined, ends: AskedTurn["ends"]): string[] {
  const cut = entry?.state === "interrupted" && entry.attempts > 0;
  return [
    ...(entry?.state !== "completed" && !cut ? ["ended as it must not"] : []),
    ...(ends.length === 0 ? ["has no outcome"] : []),
    ...(new Set(ends.map((end) => JSON.stringify(end))).size > 1 ? ["has ended in different ways"] : []),
    ...(ends.some(({ state }) => state !== entry?.state) ? ["ended otherwise than the journal says"] : []),
  ];
}

function turnOf({ model }: KillRecord, key: string): KeyedTurn {
  return model.turns.get(key) ?? { prompts: 0, answers: 0, remembered: new Set(), failed: false };
}

/** A command may have been killed before it did anything. Then its result told the model so. */
function effectFaults(
  { prompt }: AskedTurn,
  entry: Entry | undefined,
  appended: number,
  { failed }: KeyedTurn,
): string[] {
  const appends = prompt.startsWith("append");
  return [
    ...(appended > 1 ? [`was done ${appended} times`] : []),
    ...(appended > 0 && !appends ? ["was done, and nobody asked for it"] : []),
    ...(appends && entry?.state === "completed" && appended !== 1 && !(failed && appended === 0)
      ? ["completed, and was not done"]
      : []),
    ...(appended > 0 && (entry?.attempts ?? 0) === 0 ? ["was done, and never began"] : []),
  ];
}

/**
 * The model may get a prompt more than once: an untouched turn is retried, and the answer to the first prompt may have
 * been on its way. But it gets no more prompts than the journal has attempts, and only one answer may be remembered.
 */
function modelFaults(entry: Entry | undefined, { prompts, answers, remembered }: KeyedTurn): string[] {
  const attempts = entry?.attempts ?? 0;
  const right = entry?.state === "completed" ? [entry.text] : [...remembered].slice(0, 1);
  return [
    ...(prompts > attempts || answers > attempts ? [`reached the model ${prompts} times in ${attempts} attempts`] : []),
    ...([...remembered].some((text) => !right.includes(text))
      ? [`is remembered with another answer: ${[...remembered].join(" | ")}`]
      : []),
  ];
}

/** Checks that each session remembers its completed turns once, in the order in which they were asked. */
function memoryFaults({ turns, journal, model }: KillRecord): string[] {
  const conversations = [...model.conversations.values()].filter((said) => said.at(-1)?.text.endsWith(LAST_PROMPT));
  const completed = turns.filter(({ prompt }) => {
    return journal.turns.some((entry) => entry.prompt === prompt && entry.state === "completed");
  });
  return Object.entries(Object.groupBy(completed, ({ session }) => session)).flatMap(([session, own = []]) => {
    const keys = own.map(({ key }) => key);
    const said = conversations.find((messages) => promptsOf(messages).some(({ key }) => keys.includes(key))) ?? [];
    const answers = answersIn(said).map(({ key }) => key);
    const prompts = promptsOf(said).map(({ key }) => key);
    const unknown = keys.filter((key) => !answers.includes(key) || !prompts.includes(key));
    const inTime = own.filter(({ late }) => !late).map(({ key }) => key);
    const order = answers.filter((key) => inTime.includes(key));
    return [
      ...(unknown.length === 0
        ? []
        : [
            `${session} does not remember ${unknown.join()}, but the prompts ${prompts.join()} and answers to ${answers.join()}`,
          ]),
      ...(new Set(answers).size === answers.length ? [] : [`${session} remembers two answers: ${answers.join()}`]),
      ...(unknown.length > 0 || order.join() === inTime.join()
        ? []
        : [`${session} was asked in the order ${inTime.join()}, and answered in the order ${order.join()}`]),
    ];
  });
}

/**
 * The total spent equals the sum of the turns' costs, exactly: both are written together. The cost of a cut turn is
 * unknown, so the model has counted more requests. Only a turn that an orderly stop ended for its caller may have no
 * cost and still be counted, since its process may reach the result before it exits.
 */
function costFaults({ turns, journal, model, spent }: KillRecord): string[] {
  const one = journal.turns.find(({ prompt }) => prompt === LAST_PROMPT)?.cost ?? 0;
  const whole = (prompt: string): number => (prompt.startsWith("append") ? 2 * one : one);
  const wrong = journal.turns.filter(({ state, prompt, cost }) => {
    return state === "completed" && !near(cost ?? 0, whole(prompt));
  });
  const sum = journal.turns.reduce((total, { cost }) => total + (cost ?? 0), 0);
  const untold = journal.turns.filter(({ prompt, cost }) => {
    return cost === null && turns.some((turn) => turn.stopped && turn.prompt === prompt);
  });
  const most = untold.reduce((total, { prompt }) => total + whole(prompt), sum);
  const { costUsd, inputTokens } = spent ?? { costUsd: 0, inputTokens: 0 };
  const requests = inputTokens / USAGE.inputTokens;
  return [
    ...(one > 0 ? [] : ["what a turn cost is not known"]),
    ...wrong.map(({ prompt, cost }) => `"${prompt}" has cost ${cost}, and a request costs ${one}`),
    ...(near(sum, costUsd) || (sum < costUsd && costUsd < most) || near(most, costUsd)
      ? []
      : [`turns have cost ${sum}, ${most} at the most, and ${costUsd} is said to have been spent`]),
    ...(near(requests * one, costUsd) ? [] : [`${costUsd} and ${inputTokens} tokens do not belong together`]),
    ...(requests <= model.requests ? [] : [`${requests} requests were counted of ${model.requests}`]),
  ];
}

/** Costs are sums of floating-point numbers. */
function near(one: number, other: number): boolean {
  return Math.abs(one - other) < 1e-6;
}
