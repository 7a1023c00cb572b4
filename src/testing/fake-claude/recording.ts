import { readFile, writeFile } from "node:fs/promises";
import type { SDKMessage, SDKResultSuccess } from "@anthropic-ai/claude-agent-sdk";
import { on } from "../../events.ts";
import { withoutUndefined } from "../../fields.ts";
import type { SessionName } from "../../names.ts";
import type { FakeResult } from "./fake-result.ts";
import type { FakeScript, FakeTurn } from "./fake-turn.ts";

/** One turn of a recording: what was asked, and all messages that came of it. */
export interface RecordedTurn {
  readonly session: SessionName;
  readonly prompt: string;
  readonly messages: readonly SDKMessage[];
}

/** Turns of a real run, in the order in which they ended. It is plain data: keep it as JSON beside the test. */
export interface Recording {
  readonly version: 1;
  readonly turns: readonly RecordedTurn[];
}

/** Records what sessions say from now on. */
export interface Recorder extends Disposable {
  /** What has been recorded so far. */
  readonly recording: Recording;
  /** Writes it as JSON. */
  save(file: string): Promise<void>;
}

/**
 * Records all turns of this process, whatever runs them: the real Claude Code against the real API, for a fake that says the
 * same, see {@link replay}. A recording has prompts and answers in it, and whatever tools told.
 *
 * @param options.sessions only turns of sessions that it accepts. Default: all
 * @example
 * using recorder = recordTurns();
 * await query("reviewer", source);
 * await recorder.save("test/recordings/review.json");
 */
export function recordTurns(options: { readonly sessions?: (session: SessionName) => boolean } = {}): Recorder {
  const { sessions = () => true } = options;
  const running = new Map<string, SDKMessage[]>();
  const turns: RecordedTurn[] = [];
  const ends = [
    // Of a turn that is run again the last try counts.
    on("castellan:turn:begin", ({ turnId, session }) => {
      if (sessions(session)) running.set(turnId, []);
    }),
    on("castellan:session:message", ({ turnId, message }) => {
      if (turnId !== undefined) running.get(turnId)?.push(message);
    }),
    on("castellan:turn:end", ({ turnId, session, prompt }) => {
      const messages = running.get(turnId);
      running.delete(turnId);
      if (messages !== undefined) turns.push({ session, prompt, messages });
    }),
  ];
  const recorder = {
    get recording(): Recording {
      return { version: 1, turns: [...turns] };
    },
    save: async (file: string) => {
      await writeFile(file, `${JSON.stringify(recorder.recording, null, 2)}\n`);
    },
    [Symbol.dispose]: () => {
      for (const end of ends) end();
    },
  };
  return recorder;
}

/** Reads a recording that was saved. @throws Error if it is none */
export async function loadRecording(file: string): Promise<Recording> {
  const read = JSON.parse(await readFile(file, "utf8")) as Partial<Recording>;
  if (read.version === 1 && Array.isArray(read.turns)) return { version: 1, turns: read.turns };
  throw new Error(`${file} is no recording of turns of this version`);
}

/**
 * A script that says what was recorded: to each prompt what it was answered with, the first time the first answer, and so on. A
 * prompt that was not recorded, or was asked more often, is an error.
 *
 * @example
 * const fake = fakeClaude(replay(await loadRecording("test/recordings/review.json")));
 */
export function replay({ turns }: Recording): FakeScript {
  const left = [...turns];
  return async (turn) => {
    const index = left.findIndex(({ prompt }) => prompt === turn.prompt);
    const [recorded] = index === -1 ? [] : left.splice(index, 1);
    if (recorded === undefined) {
      const message = `the recording has no (further) answer to ${JSON.stringify(turn.prompt)}`;
      await turn.fail({ status: 400, message });
      return;
    }
    for (const message of recorded.messages) await repeated(message, turn);
  };
}

/** What else there is in a turn the fake says by itself. */
const REPEATED: ReadonlySet<string> = new Set(["assistant", "user", "stream_event", "rate_limit_event"]);

/** Fields by which a message is known in the run in which it was said. */
const OF_ONE_RUN: ReadonlySet<string> = new Set(["uuid", "session_id", "user_message_uuid", "user_message_uuids"]);

/** What the fake says by itself in every turn is left to it; what names the turn and the conversation is this one's. */
async function repeated(message: SDKMessage, turn: FakeTurn): Promise<void> {
  if (message.type === "result") {
    const { usage, subtype, terminal_reason: terminalReason } = message;
    await turn.result({
      subtype,
      isError: message.is_error,
      ...withoutUndefined({ terminalReason }),
      ...(message.subtype === "success" ? resultOf(message) : { errors: message.errors }),
      usage: { inputTokens: usage.input_tokens, outputTokens: usage.output_tokens },
    });
    return;
  }
  if (!REPEATED.has(message.type)) return;
  await turn.emit(Object.fromEntries(Object.entries(message).filter(([field]) => !OF_ONE_RUN.has(field))));
}

function resultOf({
  result,
  structured_output: structuredOutput,
  api_error_status: status,
}: SDKResultSuccess): FakeResult {
  return {
    text: result,
    ...withoutUndefined({ structuredOutput }),
    ...(typeof status === "number" ? { apiErrorStatus: status } : {}),
  };
}
