/**
 * Test tools: a fake Claude, a mock of the model's API, recordings, a simulated clock.
 *
 * @module castellan/testing
 */

import "../required-node.ts";

export type { Clock, Timer } from "../clock.ts";
export { type ConformanceCase, journalConformance } from "./conformance/journal-conformance.ts";
export type { OptionalStoreMethod } from "./conformance/session-store-case.ts";
export { type SessionStoreTraits, sessionStoreConformance } from "./conformance/session-store-conformance.ts";
export type { FakeExit, FakeSpawnedProcess } from "./fake-claude/fake-child.ts";
export { type FakeClaude, type FakePrompt, fakeClaude } from "./fake-claude/fake-claude.ts";
export type { FakeEntry } from "./fake-claude/fake-conversation.ts";
export type { FakeClaudeOptions, FakeMcpServer } from "./fake-claude/fake-options.ts";
export type { FakeResult } from "./fake-claude/fake-result.ts";
export type {
  FakeApiError,
  FakeCrash,
  FakeProcess,
  FakeScript,
  FakeTextOptions,
  FakeToolOutcome,
  FakeTurn,
} from "./fake-claude/fake-turn.ts";
export type { WireObject } from "./fake-claude/fake-wire.ts";
export {
  loadRecording,
  type RecordedTurn,
  type Recorder,
  type Recording,
  recordTurns,
  replay,
} from "./fake-claude/recording.ts";
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
} from "./fake-claude/steps.ts";
export { type ClaudeStubs, claudeStubs, type Stub } from "./fake-claude/stubs.ts";
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
export type { MessagesAnswer, MessagesFailure, MessagesReply } from "./mock-api/messages-answer.ts";
export { type MessagesApi, type MessagesModel, messagesApi } from "./mock-api/messages-api.ts";
export type { MessagesBlock, MessagesBody, MessagesRequest } from "./mock-api/messages-request.ts";
export { type MockApi, type MockApiOptions, mockApi } from "./mock-api/mock-api.ts";
export type { MockAnswer, MockFailure, MockMatcher, MockReply, MockResponse } from "./mock-api/mock-reply.ts";
export type { MockMessage, MockRequest } from "./mock-api/mock-request.ts";
export { hasRealKey, needsRealKey, type SkippableTest } from "./mock-api/real-key.ts";
export { SimulatedClock } from "./simulated-clock.ts";
export { startOnClock } from "./start-on-clock.ts";
