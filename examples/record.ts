import { type HistoryTurn, type Session, type SessionEvent, session } from "castellan";

// #region follow
/** Passes each event to `show`, and continues after the last one whenever it is called again. */
export async function follow(name: string, after: number, show: (event: SessionEvent) => void): Promise<number> {
  let last = after;
  for await (const event of session(name).events({ after })) {
    show(event);
    last = event.number ?? last;
  }
  return last;
}
// #endregion

// #region turn
export async function answerOf(of: Session, turnId: string): Promise<string> {
  const turn = await of.turn(turnId);
  let text = "";
  for await (const event of turn?.events() ?? []) {
    if (event.type === "turn_retried") text = "";
    if (event.type !== "text" || event.parent !== undefined || event.cut === true) continue;
    if (typeof event.text === "string") text += event.text;
  }
  return text;
}
// #endregion

// #region audit
export async function commandsOf(name: string): Promise<string[]> {
  const commands: string[] = [];
  for await (const event of session(name).events({ types: ["tool_use"], live: false })) {
    commands.push(`${new Date(event.at).toISOString()} ${event.name}`);
  }
  return commands;
}
// #endregion

// #region turns
/** Returns the questions of a user, who is the `by` of the turns, the newest first, and their costs. */
export async function questionsOf(of: Session, user: string): Promise<string[]> {
  const questions: string[] = [];
  let page = await of.turns();
  for (; page.length > 0; page = await of.turns({ before: page.at(-1)?.id })) {
    const own = page.filter(({ by }) => by === user);
    questions.push(...own.map(({ prompt, state, costUsd = 0 }) => `${prompt}: ${state}, $${costUsd}`));
  }
  return questions;
}
// #endregion

// #region history
/** Returns what was said, the oldest first, up to a number of pages. */
export async function saidIn(of: Session, pages: number): Promise<string[]> {
  const said: string[] = [];
  let before: number | undefined;
  for (let n = 0; n < pages; n++) {
    const { entries, next } = await of.history({ before, limit: 20 });
    said.unshift(...entries.flatMap((entry) => (entry.type === "turn" ? linesOf(entry) : [`(${entry.type})`])));
    if (next === undefined) break;
    before = next;
  }
  return said;
}

function linesOf({ prompt, parts, state, error }: HistoryTurn): string[] {
  const texts = parts.flatMap((part) => (part.type === "text" ? [`Claude: ${String(part.text)}`] : []));
  return [`User: ${String(prompt)}`, ...texts, ...(error === undefined ? [] : [`${state}: ${error.message}`])];
}
// #endregion
