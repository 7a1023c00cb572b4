import type { SpawnOptions } from "@anthropic-ai/claude-agent-sdk";
import { type FakeArguments, parseArguments } from "./fake-arguments.ts";
import { FakeChild, type FakeExit } from "./fake-child.ts";
import { stamp } from "./fake-messages.ts";
import type { FakeOwner, FakeProcessHandle } from "./fake-owner.ts";
import { startFailureResult } from "./fake-result.ts";
import type { FakeCrash, FakeScript } from "./fake-turn.ts";
import { parseLine, type WireObject } from "./fake-wire.ts";
import { SimulatedClaude } from "./simulated-claude.ts";

/** A fake process as the operating system sees it: arguments, streams, signals, exit. It runs a simulated Claude Code. */
export class SimulatedProcess implements FakeProcessHandle {
  readonly pid: number;
  readonly args: readonly string[];
  readonly arguments: FakeArguments;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signals: NodeJS.Signals[] = [];
  readonly exited: Promise<FakeExit>;
  readonly child: FakeChild;
  readonly #owner: FakeOwner;
  readonly #early: WireObject[] = [];
  #claude: SimulatedClaude | undefined;
  #settle: (exit: FakeExit) => void = () => {};
  #exit: FakeExit | undefined;
  #frozen = false;
  #pendingSignals: NodeJS.Signals[] = [];
  #inputEnded = false;

  constructor(owner: FakeOwner, pid: number, options: SpawnOptions) {
    this.#owner = owner;
    this.pid = pid;
    this.args = options.args;
    this.arguments = parseArguments(options.args);
    this.cwd = options.cwd ?? process.cwd();
    this.env = options.env;
    this.exited = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.child = new FakeChild(pid, {
      line: (line) => this.#line(line),
      endOfInput: () => {
        this.#inputEnded = true;
        this.#claude?.endOfInput();
      },
      signal: (signal) => this.kill(signal),
    });
    options.signal.addEventListener("abort", () => this.child.kill("SIGTERM"), { once: true });
  }

  get sessionId(): string {
    return this.#claude?.conversation.id ?? this.arguments.sessionId ?? this.arguments.resume ?? "";
  }

  get resumedFrom(): string | undefined {
    return this.#claude?.conversation.resumedFrom;
  }

  get prompts(): readonly string[] {
    return this.#claude?.prompts ?? [];
  }

  get model(): string {
    return this.#claude?.settings.model ?? this.arguments.model;
  }

  get permissionMode(): string {
    return this.#claude?.settings.permissionMode ?? this.arguments.permissionMode;
  }

  get initialize(): WireObject | undefined {
    return this.#claude?.settings.initialize;
  }

  get state(): "running" | "exited" {
    return this.#exit === undefined ? "running" : "exited";
  }

  get exit(): FakeExit | undefined {
    return this.#exit;
  }

  get full(): boolean {
    return this.child.stdout.full;
  }

  /** Starts the process; `n` is its number among the processes of the fake, from 1. */
  async start(n: number): Promise<void> {
    // A process does nothing before the call that spawns it has returned.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#exit !== undefined) return;
    try {
      await this.#owner.options.startup?.(this, n);
    } catch (error) {
      this.#owner.failed(error);
      this.crash({ stderr: `${error instanceof Error ? error.stack : String(error)}\n` });
    }
    if (this.#exit !== undefined) return;
    const opened = this.#owner.transcripts.open(this.arguments, this.cwd);
    if ("refused" in opened) {
      if (opened.asResult) this.failStart(opened.refused);
      else this.crash({ stderr: `${opened.refused}\n` });
      return;
    }
    const claude = new SimulatedClaude(this.#owner, this, opened);
    this.#claude = claude;
    for (const message of this.#early.splice(0)) claude.take(message);
    if (this.#inputEnded) claude.endOfInput();
  }

  write(raw: string | Buffer): void {
    if (this.#exit === undefined) this.child.stdout.write(raw);
  }

  written(): Promise<void> {
    return this.child.stdout.written();
  }

  writeStderr(text: string): void {
    this.child.stderr.write(text);
  }

  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    if (this.#exit !== undefined) return;
    this.signals.push(signal);
    if (signal === "SIGKILL") this.#end({ code: null, signal });
    else if (signal === "SIGSTOP") this.freeze();
    else if (signal === "SIGCONT") this.thaw();
    else if (this.#frozen) this.#pendingSignals.push(signal);
    else this.#react(signal);
  }

  beginTurn(script: FakeScript, origin: "task" | "schedule" = "task"): void {
    if (this.#exit === undefined) this.#claude?.beginUnprompted({ script, origin });
  }

  crash(how: FakeCrash = {}): void {
    if (how.stderr !== undefined) this.writeStderr(how.stderr);
    this.#end(how.signal === undefined ? { code: how.code ?? 1, signal: null } : { code: null, signal: how.signal });
  }

  failStart(message: string, reason?: string): void {
    this.writeStderr(`${message}\n`);
    this.write(`${JSON.stringify(stamp(startFailureResult([message], reason), this.sessionId))}\n`);
    this.crash();
  }

  freeze(): void {
    this.#frozen = true;
    for (const stream of [this.child.stdin, this.child.stdout, this.child.stderr]) stream.hold();
  }

  thaw(): void {
    this.#frozen = false;
    for (const stream of [this.child.stdin, this.child.stdout, this.child.stderr]) stream.release();
    for (const signal of this.#pendingSignals.splice(0)) this.#react(signal);
  }

  #line(line: string): void {
    if (this.#exit !== undefined) return;
    const message = parseLine(line);
    if (message === undefined) {
      this.crash({ stderr: `Error parsing streaming input line (type=unknown, ${line.length} chars): SyntaxError\n` });
    } else if (this.#claude === undefined) this.#early.push(message);
    else this.#claude.take(message);
  }

  #react(signal: NodeJS.Signals): void {
    if (this.#owner.options.ignoreSigterm === true) return;
    // The real process ends the turn on SIGINT, but not on SIGTERM, with a different exit code for each.
    if (signal === "SIGINT") this.#claude?.interrupt(() => {});
    const code = EXIT_CODES[signal];
    this.#end(code === undefined ? { code: null, signal } : { code, signal: null });
  }

  #end(exit: FakeExit): void {
    if (this.#exit !== undefined) return;
    this.#exit = exit;
    this.#claude?.abandon();
    this.child.exited(exit);
    this.#settle(exit);
  }
}

const EXIT_CODES: Partial<Record<NodeJS.Signals, number>> = { SIGINT: 0, SIGHUP: 129, SIGTERM: 143 };
