import { AsyncLocalStorage } from "node:async_hooks";
import { installDefaults } from "../../application/options/process-defaults.ts";
import { on } from "../../events.ts";
import { formatName, nameKey, type SessionName } from "../../names.ts";
import { type FakeClaude, fakeClaude } from "./fake-claude.ts";
import type { FakeClaudeOptions } from "./fake-options.ts";
import type { FakeScript, FakeTurn } from "./fake-turn.ts";
import { inOrder, type Step } from "./steps.ts";

/**
 * What a session says in the place of Claude: a text, a text made of the prompt, things that happen one after the other, or a
 * script.
 */
export type Stub = string | ((prompt: string) => string | Promise<string>) | readonly Step[];

/** The answers of one owner, by the keys of sessions. */
type Answers = Map<string, FakeScript>;

/** Stubs of sessions, and the fake Claude behind them. */
export interface ClaudeStubs extends Disposable {
  readonly fake: FakeClaude;
  /**
   * From now on the session, or each session of a template or member of a pool of this name, answers so. Within
   * {@link ClaudeStubs.run} only turns that are asked for there get this answer, elsewhere those of everybody who has none of
   * their own.
   */
  stub(session: SessionName, answer: Stub): void;
  /** As {@link ClaudeStubs.stub}, with a script of `fakeClaude`. */
  script(session: SessionName, script: FakeScript): void;
  /**
   * Runs a test as an owner of stubs: what is stubbed within answers the turns that are asked for within, wherever the
   * supervisor was started. So tests that run side by side can share an application, and even a session.
   */
  run<Result>(test: () => Result): Result;
  /**
   * Has every supervisor that is started from now on use the fake Claude unless its own options say otherwise, so that an
   * application under test need not be changed. Ended by `[Symbol.dispose]()`.
   */
  install(): void;
}

/**
 * Stubs for the sessions of an application. A session that has no stub fails its turn with an error that says so.
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
  /** Who asked for turns that have not ended, by turn; what they are known by to Claude; and whose sessions are which. */
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
      const message = `no stub for ${who}; call \`stub(name, answer)\` in the test that asks it`;
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

/** The answer of the first who has one: for the session itself, or else for the family that it belongs to. */
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
