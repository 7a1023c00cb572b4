import { readFile, writeFile } from "node:fs/promises";
import type { SDKMessage, SDKResultSuccess } from "@anthropic-ai/claude-agent-sdk";
import { on } from "../../events.ts";
import { withoutUndefined } from "../../fields.ts";
import type { SessionName } from "../../names.ts";
import type { FakeResult } from "./fake-result.ts";
import type { FakeScript, FakeTurn } from "./fake-turn.ts";

/** A recorded turn: its prompt and all its messages. */
export interface RecordedTurn {
  readonly session: SessionName;
  readonly prompt: string;
  readonly messages: readonly SDKMessage[];
}

/** The turns of a real run, in the order of their ends. Plain data: keep it as JSON beside the test. */
export interface Recording {
  readonly version: 1;
  readonly turns: readonly RecordedTurn[];
}

/** Records the turns of sessions until disposed. */
export interface Recorder extends Disposable {
  /** The recording so far. */
  readonly recording: Recording;
  /** Writes the recording as JSON. */
  save(file: string): Promise<void>;
}

/**
 * Records all turns of this process, for example of the real Claude Code with the real API. A fake repeats them with {@link replay}. A
 * recording contains prompts, answers and the output of tools.
 *
 * @param options.sessions selects the sessions to record. Default: all
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
    // Only the last attempt of a turn counts.
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

/** Reads a saved recording. @throws Error if the file is not a recording */
export async function loadRecording(file: string): Promise<Recording> {
  const read = JSON.parse(await readFile(file, "utf8")) as Partial<Recording>;
  if (read.version === 1 && Array.isArray(read.turns)) return { version: 1, turns: read.turns };
  throw new Error(`${file} is not a recording, or has another version`);
}

/**
 * A script that repeats a recording: each prompt gets its recorded answers, in order. A prompt without a further answer throws.
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

/** The message types to repeat. The fake sends all others by itself. */
const REPEATED: ReadonlySet<string> = new Set(["assistant", "user", "stream_event", "rate_limit_event"]);

/** Fields with ids of the recorded run. */
const OF_ONE_RUN: ReadonlySet<string> = new Set(["uuid", "session_id", "user_message_uuid", "user_message_uuids"]);

/** Repeats a message with the ids of this run, unless the fake sends such messages by itself. */
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
