import {
  parseJsonEventStream,
  readUIMessageStream,
  type UIMessage,
  type UIMessageChunk,
  uiMessageChunkSchema,
} from "ai";
import type { TurnMetadata } from "../../src/session/streams/ui-message-chunk.ts";

export type TurnMessage = UIMessage<TurnMetadata>;

/** What a page reads from a response. */
export interface Read {
  readonly chunks: UIMessageChunk[];
  /** Every state of the message, in order. */
  readonly states: TurnMessage[];
  readonly message: TurnMessage | undefined;
  /** Error chunks, and errors of the AI SDK. */
  readonly errors: string[];
}

/** Reads a response as the AI SDK does in a page. */
export async function readUI(response: Response): Promise<Read> {
  if (response.body === null) throw new Error("no body");
  const chunks: UIMessageChunk[] = [];
  const states: TurnMessage[] = [];
  const errors: string[] = [];
  const stream = parseJsonEventStream({ stream: response.body, schema: uiMessageChunkSchema }).pipeThrough(
    new TransformStream<{ success: boolean; value?: UIMessageChunk; error?: unknown }, UIMessageChunk>({
      transform(parsed, controller) {
        if (parsed.value === undefined) throw new Error("not a chunk of the AI SDK", { cause: parsed.error });
        // The reader keeps chunks in the message that it builds, and changes them later.
        chunks.push(structuredClone(parsed.value));
        controller.enqueue(parsed.value);
      },
    }),
  );
  const onError = (error: unknown): void => void errors.push(error instanceof Error ? error.message : String(error));
  for await (const state of readUIMessageStream<TurnMessage>({ stream, onError })) states.push(state);
  return { chunks, states, message: states.at(-1), errors };
}
