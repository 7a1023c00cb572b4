import {
  CastellanError,
  type ErrorCode,
  publicError,
  query,
  Supervisor,
  type SupervisorOptions,
  stream,
  template,
} from "castellan";

// #region start
/** One session for each assistant and user, which the user's first question starts. */
export async function startAssistants(options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start(
    [
      template("reviewer", { systemPrompt: "You review code for bugs and improvements", tools: [] }),
      template("writer", (user: string) => ({ systemPrompt: `You help ${user} to write letters`, tools: [] })),
    ],
    {
      ...options,
      capacity: { maxProcesses: 16 },
      defaults: { timeout: "2m", idleTimeout: "10m", mailboxLimit: 5, ...options.defaults },
    },
  );
}
// #endregion

// #region answer
export async function answer(assistant: string, user: string, prompt: string): Promise<Response> {
  try {
    const { text } = await query([assistant, user], prompt);
    return Response.json({ text });
  } catch (error) {
    return failure(error);
  }
}

export function answerStream(assistant: string, user: string, prompt: string): Response {
  try {
    return stream([assistant, user], prompt).toResponse();
  } catch (error) {
    return failure(error);
  }
}
// #endregion

// #region errors
const STATUS: { readonly [Code in ErrorCode]?: number } = {
  INVALID_OPTIONS: 400,
  BUDGET_EXCEEDED: 402,
  SESSION_NOT_FOUND: 404,
  SESSION_BUSY: 429,
  MAILBOX_FULL: 429,
  TURN_FAILED: 502,
  SESSION_QUARANTINED: 503,
  CAPACITY_EXHAUSTED: 503,
  QUEUE_TIMEOUT: 503,
  JOURNAL_UNAVAILABLE: 503,
  DATABASE_UNAVAILABLE: 503,
  SUPERVISOR_STOPPED: 503,
  TURN_TIMEOUT: 504,
};

function failure(error: unknown): Response {
  if (!CastellanError.is(error)) throw error;
  return Response.json(publicError(error), { status: STATUS[error.code] ?? 500 });
}
// #endregion
