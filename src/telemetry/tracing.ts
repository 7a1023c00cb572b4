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
import { provideTraceEnvironment } from "../trace-context.ts";
import { ATTRIBUTES, OPERATION, PROVIDER } from "./names.ts";

/**
 * Creates a span for each turn, from acceptance to end, as a child of the caller's span. Each process gets the current trace context
 * (`TRACEPARENT`) at its start, so that its own spans join the trace.
 *
 * @param prompts whether spans have the text of prompts as an attribute
 * @returns a function that stops tracing
 */
export function traceTurns(tracer: Tracer, { prompts }: { readonly prompts: boolean }): () => void {
  const spans = new Map<string, Span>();
  const unsubscribes = [
    on("castellan:turn:accept", ({ session, supervisor, turnId, prompt, recovered }) => {
      // A recovered turn was accepted before the restart, so it belongs to no trace of this process.
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
    provideTraceEnvironment(() => {
      const carrier: Record<string, string> = {};
      propagation.inject(context.active(), carrier);
      return Object.fromEntries(Object.entries(carrier).map(([name, value]) => [name.toUpperCase(), value]));
    }),
  ];
  return () => {
    for (const unsubscribe of unsubscribes) unsubscribe();
    for (const span of spans.values()) span.end();
    spans.clear();
  };
}

/** The first part of a session's name. */
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
    // The conventions count tokens read from and written to the cache as input.
    [ATTRIBUTES.inputTokens]: inputTokens + cacheReadInputTokens + cacheCreationInputTokens,
    [ATTRIBUTES.outputTokens]: outputTokens,
    [ATTRIBUTES.cacheReadTokens]: cacheReadInputTokens,
    [ATTRIBUTES.cacheCreationTokens]: cacheCreationInputTokens,
    [ATTRIBUTES.costUsd]: costUsd,
    ...(stopReason === null ? {} : { [ATTRIBUTES.finishReasons]: [stopReason] }),
  };
}
