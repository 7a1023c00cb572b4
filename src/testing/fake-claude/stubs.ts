import { AsyncLocalStorage } from "node:async_hooks";
import { installDefaults } from "../../application/options/process-defaults.ts";
import { on } from "../../events.ts";
import { formatName, nameKey, type SessionName } from "../../names.ts";
import { type FakeClaude, fakeClaude } from "./fake-claude.ts";
import type { FakeClaudeOptions } from "./fake-options.ts";
import type { FakeScript, FakeTurn } from "./fake-turn.ts";
import { inOrder, type Step } from "./steps.ts";

/**
 * The answer of a session in place of Claude: a text, a function from prompt to text, or steps.
 */
export type Stub = string | ((prompt: string) => string | Promise<string>) | readonly Step[];

/** The answers of one owner, by session key. */
type Answers = Map<string, FakeScript>;

/** Stubs of sessions, and the fake Claude behind them. */
export interface ClaudeStubs extends Disposable {
  readonly fake: FakeClaude;
  /**
   * Sets the answer of the session with this name, or of each session of the template or member of the pool with this name. Within
   * {@link ClaudeStubs.run} it applies to turns submitted there; elsewhere it is the default for all others.
   */
  stub(session: SessionName, answer: Stub): void;
  /** Like {@link ClaudeStubs.stub}, with a script of `fakeClaude`. */
  script(session: SessionName, script: FakeScript): void;
  /**
   * Runs a test with stubs of its own: stubs set within it answer the turns submitted within it, wherever the supervisor was started.
   * Concurrent tests can therefore share an application, and even a session.
   */
  run<Result>(test: () => Result): Result;
  /**
   * Makes the fake Claude the default of every supervisor started from now on, so that the application under test needs no change.
   * `[Symbol.dispose]()` reverts it.
   */
  install(): void;
}

/**
 * Creates stubs for the sessions of an application. The turns of a session without a stub fail with an error that says so.
 *
 * @example
 * const claude = claudeStubs();
 * claude.install();
 * afterAll(() => claude[Symbol.dispose]());
 * test.concurrent("a review is shown", () =>
 *   claude.run(async () => {
 *     claude.stub("reviewer", "Looks good");
 *     expect(await application.review(source)).toContain("Looks good");
 *   }),
 * );
 */
export function claudeStubs(options: FakeClaudeOptions = {}): ClaudeStubs {
  const owners = new AsyncLocalStorage<Answers>();
  const everybody: Answers = new Map();
  /** The owners of unfinished turns, by turn id; turn ids by prompt id; and the owners of sessions. */
  const asked = new Map<string, { readonly owner: Answers | undefined; readonly session: SessionName }>();
  const prompts = new Map<string, string>();
  const starters = new Map<string, Answers>();
  const ends = [
    on("castellan:turn:accept", ({ turnId, session }) => {
      asked.set(turnId, { owner: owners.getStore() ?? starters.get(nameKey(session)), session });
    }),
    on("castellan:session:start", ({ session }) => {
      const owner = owners.getStore();
      if (owner !== undefined) starters.set(nameKey(session), owner);
    }),
    on("castellan:turn:begin", ({ turnId, promptId }) => void prompts.set(promptId, turnId)),
    on("castellan:turn:end", ({ turnId }) => void asked.delete(turnId)),
  ];
  const script = async (turn: FakeTurn): Promise<void> => {
    const promptId = turn.message.uuid ?? "";
    const { owner, session } = asked.get(prompts.get(promptId) ?? "") ?? {};
    prompts.delete(promptId);
    const answer = session === undefined ? undefined : answerOf([owner, everybody], session);
    if (answer !== undefined) await answer(turn);
    else {
      const who = session === undefined ? "this session" : `session ${formatName(session)}`;
      const message = `no stub for ${who}; call \`stub(name, answer)\` in the test that queries it`;
      await turn.fail({ status: 400, message });
    }
  };
  const fake = fakeClaude(script, options);
  const setScript = (session: SessionName, answer: FakeScript): void => {
    (owners.getStore() ?? everybody).set(nameKey(session), answer);
  };
  return {
    fake,
    stub: (session, answer) => setScript(session, scriptOf(answer)),
    script: setScript,
    run: (test) => owners.run(new Map(), test),
    install: () => void ends.push(installDefaults({ spawnClaudeCodeProcess: fake.spawn })),
    [Symbol.dispose]: () => {
      for (const end of ends.splice(0)) end();
    },
  };
}

/** The first owner's answer for the session itself, otherwise for its family. */
function answerOf(owners: readonly (Answers | undefined)[], session: SessionName): FakeScript | undefined {
  const family = typeof session === "string" ? [] : [nameKey(session[0])];
  for (const key of [nameKey(session), ...family]) {
    const found = owners.find((answers) => answers?.has(key) === true)?.get(key);
    if (found !== undefined) return found;
  }
  return undefined;
}

function scriptOf(answer: Stub): FakeScript {
  if (typeof answer === "string") return (turn) => turn.text(answer);
  if (typeof answer === "function") return async (turn) => turn.text(await answer(turn.prompt));
  return inOrder(...answer);
}
