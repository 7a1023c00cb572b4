/**
 * Supervisors and their sessions, and what is found by name.
 *
 * @module castellan
 */

import "./required-node.ts";

export { type Balanced, balance } from "./application/balance.ts";
export { fallback } from "./application/fallback.ts";
export type { FindOptions, FoundState, SessionInfo } from "./application/finding.ts";
export type { BudgetReport } from "./application/inspection/budgets.ts";
export type { EffectiveOption, EffectiveOptions, OptionOrigin } from "./application/inspection/effective-options.ts";
export {
  type Check,
  type HealthChecks,
  type HealthHandlers,
  healthHandlers,
  type SupervisorCondition,
  type SupervisorHealth,
} from "./application/inspection/health.ts";
export type {
  ChildEnd,
  ChildInspection,
  Inspection,
  RestartIntensity,
  SessionInspection,
  SupervisorInspection,
} from "./application/inspection/inspection.ts";
export { formatInspection } from "./application/inspection/inspection-text.ts";
export type { StorageReport, StoreReport } from "./application/inspection/storage.ts";
export type { TemplateInfo } from "./application/inspection/template-info.ts";
export type { Picker, SessionRef } from "./application/names/reference.ts";
export type { CapacityOptions } from "./application/options/capacity-options.ts";
export type { ChildOptions, SubtreeOptions, WorkerOptions } from "./application/options/child-options.ts";
export type {
  JournalLocation,
  JournalOptions,
  JournalRetention,
  StoredJournalOptions,
} from "./application/options/journal-options.ts";
export type { Logger, SupervisorOptions, TreeOptions } from "./application/options/supervisor-options.ts";
export {
  type TemplateKey,
  type TemplateLimits,
  type TemplateOptions,
  type TemplateSessions,
  template,
} from "./application/options/template.ts";
export type { SignalOptions } from "./application/signals.ts";
export { Supervisor } from "./application/supervisor.ts";
export type { SupervisorWebhooks } from "./application/supervisor-webhooks.ts";
export type {
  CapacityLimits,
  CapacityStatus,
  ChildSummary,
  CredentialsReport,
  DrainReport,
  NotStarted,
  ReconcileReport,
  SupervisorEnd,
} from "./application/tree/supervisor-reports.ts";
export { type Via, via } from "./application/via.ts";
export type { MemorySize } from "./capacity/memory-size.ts";
export type { SparesStatus } from "./capacity/spares.ts";
export {
  checkout,
  global,
  type OnceOptions,
  once,
  type ProbeResult,
  probe,
  query,
  session,
  stream,
  touch,
  use,
} from "./castellan.ts";
export type { McpServer } from "./claude/mcp-servers.ts";
export type { BackgroundTask } from "./claude/messages/background-tasks.ts";
export type { Delta, ToolUse } from "./claude/messages/shown.ts";
export type { Wakeup } from "./claude/messages/wakeups.ts";
export type { ApiKey } from "./claude/process-options.ts";
export type { Cluster, GlobalSessionInfo, NodeInfo } from "./cluster/cluster.ts";
export type { ClusterOptions, ClusterTls, ConnectOptions } from "./cluster/cluster-options.ts";
export type { GlobalFindOptions, GlobalFoundSession, GlobalFoundState } from "./cluster/global-finding.ts";
export type { GlobalPool } from "./cluster/global-pool.ts";
export type {
  GlobalApproval,
  GlobalSession,
  GlobalSessionStatus,
  SentMcpServer,
} from "./cluster/global-session.ts";
export { type Migration, type MigrationOptions, migratePostgres } from "./cluster/postgres/migrate-postgres.ts";
export type { NodeReport } from "./cluster/protocol/engine.ts";
export type { MovedSession } from "./cluster/rebalance.ts";
export type { SessionActivity } from "./cluster/session-host.ts";
export {
  type CastellanConfig,
  type ConfigLayer,
  type Configurable,
  type ConfiguredChild,
  defineConfig,
} from "./config/config.ts";
export type { EnvReference } from "./config/env-reference.ts";
export type { ConfigSource } from "./config/load-config.ts";
export { type ConfigChange, type FromConfigOptions, startFromConfig } from "./config/start-from-config.ts";
export type { Duration } from "./duration.ts";
export {
  CastellanError,
  type ClusterFault,
  type ConversationFate,
  type DatabaseFault,
  type ErrorCode,
  type ErrorDetails,
  type ExitClass,
  type ExitRecord,
  type JournalFault,
  type NoDetails,
  type OptionProblem,
  type PartialTurn,
  type SteerRefusal,
} from "./errors.ts";
export {
  type BorrowerFacts,
  type CastellanEvents,
  type EventName,
  eventNames,
  type NodeFacts,
  type PoolFacts,
  type SessionFacts,
  type TurnFacts,
  type TurnOrigin,
  type TurnUsage,
} from "./events.ts";
export { memoryJournal } from "./journal/memory/memory-journal.ts";
export type { ApprovalEntry, RequestedApproval } from "./journal/model/approval-entry.ts";
export type { Batch, Change, TurnBeginning } from "./journal/model/change.ts";
export type { ConversationEntry } from "./journal/model/conversation-entry.ts";
export type { DeliveryEntry, DeliveryQuery } from "./journal/model/delivery-entry.ts";
export type {
  ContentEntry,
  EventEntry,
  EventExtent,
  EventQuery,
  EventRetention,
} from "./journal/model/event-entry.ts";
export type { JobEntry } from "./journal/model/job-entry.ts";
export type { Journal, JournalOwner, Retention, SessionExtent, SessionRecord } from "./journal/model/journal.ts";
export type {
  Json,
  JsonObject,
  SavedSession,
  SessionDescription,
  SessionEntry,
} from "./journal/model/session-entry.ts";
export type { CreationOrder, SessionListQuery } from "./journal/model/session-list.ts";
export type { ModelSpending, Spending, Usage } from "./journal/model/spending.ts";
export type {
  TranscriptHead,
  TranscriptKey,
  TranscriptPart,
  TranscriptStore,
} from "./journal/model/transcript-entry.ts";
export type {
  AcceptedTurn,
  EndedTurnState,
  PromptKind,
  StoredPromptKind,
  TurnEntry,
  TurnEntryState,
  TurnQuery,
} from "./journal/model/turn-entry.ts";
export type { UsageDimension, UsageEntry, UsageQuery } from "./journal/model/usage-entry.ts";
export type { PostgresOptions } from "./journal/postgres/postgres-location.ts";
export { type PostgresSessionStore, postgresSessionStore } from "./journal/postgres/postgres-session-store.ts";
export type { SessionName } from "./names.ts";
export type { Balance } from "./pool/balance-option.ts";
export type { BalanceRequest, Balancer, Candidate } from "./pool/balancer.ts";
export type { Loan } from "./pool/loan.ts";
export type { MemberUse } from "./pool/member.ts";
export type { CheckoutOptions, Pool } from "./pool/pool.ts";
export { type PoolBehavior, type PoolOptions, pool } from "./pool/pool-options.ts";
export type { PoolStatus } from "./pool/pool-status.ts";
export type { PoolTurnOptions } from "./pool/pool-turn.ts";
export {
  type RegisterOptions,
  Registry,
  type RegistryOptions,
  type WhenRegisteredOptions,
} from "./registry/keyed-registry.ts";
export type {
  Metadata as RegistryMetadata,
  Registration,
  RegistryEntry,
  RegistryKey,
} from "./registry/registration.ts";
export type { ConversationOptions, PastApproval } from "./session/controls.ts";
export type {
  Approval,
  ApprovalAnswerer,
  ApprovalChanges,
  ApprovalOutcome,
} from "./session/conversation/approval.ts";
export type { TranscriptOptions } from "./session/conversation/transcript.ts";
export type { Budget, BudgetStatus } from "./session/options/budget.ts";
export { type Command, command } from "./session/options/command.ts";
export { fileBlock } from "./session/options/file-block.ts";
export type { GlobalName, GlobalPlacement } from "./session/options/global-name.ts";
export type { Isolate } from "./session/options/isolation.ts";
export type { JobOptions } from "./session/options/job-options.ts";
export type { NoteOptions } from "./session/options/note.ts";
export type { OnInterruptedTurn, SessionDefaults, SessionOptions, WhenBusy } from "./session/options/options.ts";
export type { OutputSchema } from "./session/options/output-schema.ts";
export type { Prompt } from "./session/options/prompt.ts";
export type {
  DocumentBlock,
  DocumentContent,
  ImageBlock,
  ImageData,
  ImageMediaType,
  PdfData,
  PromptBlock,
  TextBlock,
  TextData,
  UploadedSource,
  UrlSource,
} from "./session/options/prompt-block.ts";
export type { RegisteredName } from "./session/options/registered-name.ts";
export type { SteerOptions } from "./session/options/steer-options.ts";
export type { TurnOptions } from "./session/options/turn-options.ts";
export type { EraseOptions, ErasureReport, LeftBehind } from "./session/persistence/erasure.ts";
export type { DescribeOptions } from "./session/persistence/live-description.ts";
export type { ExportedLine, ExportOptions, FileContent } from "./session/persistence/session-export.ts";
export type { SessionUsageOptions, UsageOptions, UsageReport } from "./session/persistence/usage.ts";
export type { ApprovalQuestion, QuestionAnswers, QuestionOption } from "./session/record/approval-questions.ts";
export type { ContentReference, EventContent } from "./session/record/content.ts";
export type { EventOptions, EventPageOptions } from "./session/record/event-readers.ts";
export type {
  HistoryApproval,
  HistoryApprovalPart,
  HistoryEntry,
  HistoryGap,
  HistoryOptions,
  HistoryPage,
  HistoryPart,
  HistoryRetry,
  HistorySteer,
  HistoryText,
  HistoryTool,
  HistoryTurn,
  SessionHappening,
} from "./session/record/history-entry.ts";
export type {
  ApprovalWithdrawal,
  EventJson,
  EventTask,
  EventText,
  LiveEvent,
  LiveEventFields,
  RecordedEvent,
  RecordedEventFields,
  SessionEvent,
  UnknownEvent,
} from "./session/record/session-event-types.ts";
export type { Session } from "./session/session.ts";
export type { SessionHealth } from "./session/session-health.ts";
export type { RunningTask } from "./session/status/running-task.ts";
export type { SessionFault } from "./session/status/session-fault.ts";
export type { SessionState, Stopped } from "./session/status/session-state.ts";
export type { SessionStatus, Waiting } from "./session/status/session-status.ts";
export type { EventStreamOptions } from "./session/streams/event-stream-response.ts";
export type { Reply } from "./session/streams/reply.ts";
export { publicError, type ResponseView, type ShownError, type ShownReply } from "./session/streams/response-view.ts";
export type { ShownApproval, ShownApprovalEnd } from "./session/streams/shown-approval.ts";
export type { SseOptions, TurnEvents } from "./session/streams/sse.ts";
export type { Turn, TurnDelta } from "./session/streams/turn.ts";
export type { NumberedMessage } from "./session/streams/turn-reader.ts";
export type { TurnState } from "./session/streams/turn-state.ts";
export type { TurnMetadata, UIApproval } from "./session/streams/ui-message-chunk.ts";
export { uiMessagePrompt } from "./session/streams/ui-message-prompt.ts";
export {
  type HistoryUIMessage,
  type HistoryUIPart,
  type UIMessagePage,
  type UIMessagesOptions,
  type UIMessagesSource,
  type UITool,
  uiMessages,
} from "./session/streams/ui-messages.ts";
export type { Touched } from "./session/touching.ts";
export type { EnqueueOptions, Schedule, ScheduleOptions } from "./session/turns/schedule.ts";
export type { TurnListOptions, TurnSummary } from "./session/turns/turn-summary.ts";
export type {
  Child,
  ChildExit,
  ChildInfo,
  ChildType,
  Disposition,
  ExitListener,
  RecordedExit,
  Restart,
  Shutdown,
  StartContext,
} from "./supervision/child-spec.ts";
export type { ChildCounts } from "./supervision/supervisor.ts";
export type { AutoShutdown, Strategy } from "./supervision/supervisor-spec.ts";
export { type FollowOptions, follow } from "./telemetry/follow.ts";
export { type EventLogger, logEvents } from "./telemetry/log.ts";
export type { WebhookOptions } from "./webhooks/webhook-options.ts";
export type { EndpointStatus, WebhookFailure, WebhookTest } from "./webhooks/webhook-status.ts";
export type { WebhookType } from "./webhooks/webhook-type.ts";
