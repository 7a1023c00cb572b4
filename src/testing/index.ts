/**
 * For tests: a fake Claude, a mock of the model's API, recordings, a simulated clock.
 *
 * @module castellan/testing
 */

import "../required-node.ts";

export type { Clock, Timer } from "../clock.ts";
export type { FakeExit, FakeSpawnedProcess } from "./fake-child.ts";
export { type FakeClaude, type FakePrompt, fakeClaude } from "./fake-claude.ts";
export type { FakeEntry } from "./fake-conversation.ts";
export type { FakeClaudeOptions, FakeMcpServer } from "./fake-options.ts";
export type { FakeResult } from "./fake-result.ts";
export type {
  FakeApiError,
  FakeCrash,
  FakeProcess,
  FakeScript,
  FakeTextOptions,
  FakeToolOutcome,
  FakeTurn,
} from "./fake-turn.ts";
export type { WireObject } from "./fake-wire.ts";
export { type ConformanceCase, journalConformance } from "./journal-conformance.ts";
export { expectNoLeaks, type LeakCheck } from "./leaks.ts";
export {
  assistantMessage,
  errorResultMessage,
  type MessageFacts,
  resultMessage,
  type ToolUseContent,
  textDeltaMessage,
  toolResultMessage,
} from "./messages.ts";
export type { MessagesAnswer, MessagesFailure, MessagesReply } from "./messages-answer.ts";
export { type MessagesApi, type MessagesModel, messagesApi } from "./messages-api.ts";
export type { MessagesBlock, MessagesBody, MessagesRequest } from "./messages-request.ts";
export { type MockApi, type MockApiOptions, mockApi } from "./mock-api.ts";
export type { MockAnswer, MockFailure, MockMatcher, MockReply, MockResponse } from "./mock-reply.ts";
export type { MockMessage, MockRequest } from "./mock-request.ts";
export { hasRealKey, needsRealKey, type SkippableTest } from "./real-key.ts";
export { loadRecording, type RecordedTurn, type Recorder, type Recording, recordTurns, replay } from "./recording.ts";
export type { OptionalStoreMethod } from "./session-store-case.ts";
export { type SessionStoreTraits, sessionStoreConformance } from "./session-store-conformance.ts";
export { SimulatedClock } from "./simulated-clock.ts";
export { startOnClock } from "./start-on-clock.ts";
export {
  crashes,
  fails,
  hitsLimit,
  inOrder,
  results,
  type Step,
  says,
  stalls,
  streams,
  thinks,
  turnByTurn,
  uses,
} from "./steps.ts";
export { type ClaudeStubs, claudeStubs, type Stub } from "./stubs.ts";
