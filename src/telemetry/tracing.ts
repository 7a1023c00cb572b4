import {
  type Attributes,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from "@opentelemetry/api";
import { on } from "../events.ts";
import { formatName, type SessionName } from "../names.ts";
import { traceFrom } from "../trace-context.ts";
import { ATTRIBUTES, OPERATION, PROVIDER } from "./names.ts";

/**
 * Makes a span of each turn, from being accepted to its end, below the span in which it was asked for. A process that is started
 * is told of the trace in which that happens (`TRACEPARENT`), so that what it traces itself joins it.
 *
 * @param prompts whether the text of prompts is an attribute
 * @returns ends that
 */
export function traceTurns(tracer: Tracer, { prompts }: { readonly prompts: boolean }): () => void {
  const spans = new Map<string, Span>();
  const ends = [
    on("castellan:turn:accept", ({ session, supervisor, turnId, prompt, recovered }) => {
      // One that was accepted by an application that has ended is of no trace of this one.
      const options = { kind: SpanKind.INTERNAL, root: recovered };
      const span = tracer.startSpan(`${OPERATION} ${agentOf(session)}`, options, context.active());
      span.setAttributes({
        [ATTRIBUTES.operation]: OPERATION,
        [ATTRIBUTES.provider]: PROVIDER,
        [ATTRIBUTES.agentName]: agentOf(session),
        [ATTRIBUTES.agentId]: formatName(session),
        [ATTRIBUTES.supervisor]: supervisor,
        [ATTRIBUTES.turn]: turnId,
        [ATTRIBUTES.promptLength]: prompt.length,
        ...(prompts ? { [ATTRIBUTES.prompt]: prompt } : {}),
      });
      spans.set(turnId, span);
    }),
    on("castellan:turn:begin", ({ turnId, attempt, conversationId, model }) => {
      const span = spans.get(turnId);
      span?.setAttribute(ATTRIBUTES.conversation, conversationId);
      if (model !== undefined) span?.setAttribute(ATTRIBUTES.requestModel, model);
      span?.addEvent("castellan.turn.begin", { [ATTRIBUTES.attempts]: attempt });
    }),
    on("castellan:turn:end", ({ turnId, state, left, attempts, reply, error }) => {
      const span = spans.get(turnId);
      spans.delete(turnId);
      if (span === undefined) return;
      span.setAttributes({ [ATTRIBUTES.turnState]: left ? "left" : state, [ATTRIBUTES.attempts]: attempts });
      if (reply !== undefined) span.setAttributes(attributesOf(reply));
      if (error !== undefined) {
        span.setAttribute(ATTRIBUTES.errorType, error.code);
        span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
      }
      span.end();
    }),
    traceFrom(() => {
      const carrier: Record<string, string> = {};
      propagation.inject(context.active(), carrier);
      return Object.fromEntries(Object.entries(carrier).map(([name, value]) => [name.toUpperCase(), value]));
    }),
  ];
  return () => {
    for (const end of ends) end();
    for (const span of spans.values()) span.end();
    spans.clear();
  };
}

/** The family of a session: what its name begins with. */
function agentOf(session: SessionName): string {
  return typeof session === "string" ? session : session[0];
}

interface Answer {
  readonly usage: {
    readonly inputTokens: number;
    readonly outputTokens: number;
    readonly cacheReadInputTokens: number;
    readonly cacheCreationInputTokens: number;
  };
  readonly costUsd: number;
  readonly stopReason: string | null;
  readonly sessionId: string;
}

function attributesOf({ usage, costUsd, stopReason, sessionId }: Answer): Attributes {
  const { inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens } = usage;
  return {
    [ATTRIBUTES.conversation]: sessionId,
    // All that the model read, as the conventions count it; of which from, and into, the cache.
    [ATTRIBUTES.inputTokens]: inputTokens + cacheReadInputTokens + cacheCreationInputTokens,
    [ATTRIBUTES.outputTokens]: outputTokens,
    [ATTRIBUTES.cacheReadTokens]: cacheReadInputTokens,
    [ATTRIBUTES.cacheCreationTokens]: cacheCreationInputTokens,
    [ATTRIBUTES.costUsd]: costUsd,
    ...(stopReason === null ? {} : { [ATTRIBUTES.finishReasons]: [stopReason] }),
  };
}
