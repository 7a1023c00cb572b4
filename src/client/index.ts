/**
 * A typed client of Castellan's HTTP API. It depends on nothing else of Castellan, so a browser can load it.
 *
 * @module castellan/client
 */

export type { SessionName } from "../names.ts";
export type {
  Approval,
  ApprovalHistoryQuery,
  ApprovalListQuery,
  ApprovalOutcome,
  ApprovalQuestion,
  ApproveTool,
  PastApproval,
  SettledApproval,
} from "../wire/approval.ts";
export type { BudgetReport, BudgetStatus } from "../wire/budget.ts";
export type {
  GlobalSessionInfo,
  GlobalSessionListQuery,
  GlobalSessionPage,
  MovedSession,
  NodeInfo,
  NodeReport,
  RebalanceCluster,
} from "../wire/cluster.ts";
export type { WireDuration } from "../wire/duration.ts";
export type { EraseSession, ErasureReport, LeftBehind } from "../wire/erasure.ts";
export type { WireError } from "../wire/error.ts";
export type {
  ContentReference,
  EventPage,
  EventPageQuery,
  EventStreamQuery,
  EventTask,
  EventText,
  LiveEvent,
  LiveEventFields,
  RecordedEvent,
  RecordedEventFields,
  SessionEvent,
} from "../wire/event-types.ts";
export type { ExitRecord } from "../wire/exit.ts";
export type { Json, JsonObject } from "../wire/json.ts";
export type { GlobalSessionName, WireName } from "../wire/name.ts";
export type { PermissionDestination, PermissionRule, PermissionUpdate } from "../wire/permission-update.ts";
export type { EnqueueJob, PoolStatus } from "../wire/pool.ts";
export type { PromptBlock, PromptCommand, WirePrompt } from "../wire/prompt.ts";
export type { CreateSchedule, Schedule } from "../wire/schedule.ts";
export type {
  ConversationChoice,
  CreateSession,
  DescribeSession,
  ForkSession,
  FoundState,
  SessionHealth,
  SessionInfo,
  SessionListQuery,
  SessionPage,
  TouchAnswer,
} from "../wire/session.ts";
export type { SessionInspection } from "../wire/session-inspection.ts";
export type {
  BackgroundTask,
  McpServer,
  SessionFault,
  SessionState,
  SessionStatus,
  TurnOrigin,
  Waiting,
  Wakeup,
} from "../wire/session-status.ts";
export type { StorageReport, StoreReport } from "../wire/storage.ts";
export type { CapacityStatus, DrainReport, DrainSupervisor, ServerInfo, SupervisorHealth } from "../wire/supervisor.ts";
export type {
  SupervisorEvent,
  SupervisorEventFields,
  SupervisorEventQuery,
  SupervisorEventType,
} from "../wire/supervisor-event.ts";
export type {
  ChildEnd,
  ChildList,
  ChildState,
  ChildSummary,
  EffectiveOption,
  RestartIntensity,
  SupervisorNode,
  Tree,
  TreeNode,
  TreeQuery,
} from "../wire/tree.ts";
export type {
  AcceptedTurn,
  EnqueueTurn,
  Reply,
  SteerTurn,
  Turn,
  TurnListQuery,
  TurnPage,
  TurnState,
  TurnSummary,
} from "../wire/turn.ts";
export type { ModelSpending, SessionUsageQuery, Usage, UsageQuery, UsageReport } from "../wire/usage.ts";
export type { Webhook, WebhookFailure, WebhookTest } from "../wire/webhook.ts";
export { CastellanApiError } from "./api-error.ts";
export { CastellanClient } from "./client.ts";
export type { ClientOptions, RequestOptions } from "./client-options.ts";
export type { JobOptions, PoolClient } from "./pool-client.ts";
export type { EnqueueOptions, EventContent, ScheduleOptions, SessionClient, StreamOptions } from "./session-client.ts";
export type { TurnsClient, WaitOptions } from "./turns-client.ts";
