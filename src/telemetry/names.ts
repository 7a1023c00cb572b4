/**
 * The names of metrics. Names that begin with `gen_ai` or `error` are those of the GenAI semantic conventions
 * (https://opentelemetry.io/docs/specs/semconv/gen-ai/); Castellan defines the others.
 */
export const METRICS = {
  operationDuration: "gen_ai.client.operation.duration",
  tokenUsage: "gen_ai.client.token.usage",
  turnQueueDuration: "castellan.turn.queue.duration",
  turnCost: "castellan.turn.cost",
  turns: "castellan.turns",
  turnsActive: "castellan.turn.active",
  sessions: "castellan.sessions",
  restarts: "castellan.session.restarts",
  quarantines: "castellan.session.quarantines",
  faults: "castellan.session.faults",
  mcpServersFailed: "castellan.mcp.servers.failed",
  activations: "castellan.activations",
  activationStartDuration: "castellan.activation.start.duration",
  activationUptime: "castellan.activation.uptime",
  approvals: "castellan.approvals",
  approvalsPending: "castellan.approval.pending",
  capacityWaiting: "castellan.capacity.waiting",
  capacityWaitDuration: "castellan.capacity.wait.duration",
  poolLent: "castellan.pool.lent",
  poolWaiting: "castellan.pool.waiting",
  poolWaitDuration: "castellan.pool.wait.duration",
  poolExhausted: "castellan.pool.exhausted",
  nodeLosses: "castellan.node.losses",
  globalClaims: "castellan.global.claims",
  databaseFailovers: "castellan.database.failovers",
  databaseGaps: "castellan.database.gaps",
} as const;

/** The names of attributes of spans and metrics. */
export const ATTRIBUTES = {
  operation: "gen_ai.operation.name",
  provider: "gen_ai.provider.name",
  agentName: "gen_ai.agent.name",
  agentId: "gen_ai.agent.id",
  conversation: "gen_ai.conversation.id",
  requestModel: "gen_ai.request.model",
  finishReasons: "gen_ai.response.finish_reasons",
  tokenType: "gen_ai.token.type",
  inputTokens: "gen_ai.usage.input_tokens",
  outputTokens: "gen_ai.usage.output_tokens",
  cacheReadTokens: "gen_ai.usage.cache_read.input_tokens",
  cacheCreationTokens: "gen_ai.usage.cache_creation.input_tokens",
  errorType: "error.type",
  supervisor: "castellan.supervisor.name",
  turn: "castellan.turn.id",
  turnState: "castellan.turn.state",
  attempts: "castellan.turn.attempts",
  costUsd: "castellan.turn.cost_usd",
  prompt: "castellan.turn.prompt",
  promptLength: "castellan.turn.prompt_length",
  sessionState: "castellan.session.state",
  exitClass: "castellan.exit.class",
  faultKind: "castellan.fault.kind",
  mcpServer: "castellan.mcp.server.name",
  resumed: "castellan.activation.resumed",
  spare: "castellan.activation.spare",
  outcome: "castellan.approval.outcome",
  granted: "castellan.capacity.granted",
  pool: "castellan.pool.name",
  poolGranted: "castellan.pool.granted",
  node: "castellan.node.name",
  databaseContent: "castellan.database.content",
  databaseLost: "castellan.database.lost",
} as const;

/** A turn's operation and provider in the GenAI conventions. */
export const OPERATION = "invoke_agent";
export const PROVIDER = "anthropic";
