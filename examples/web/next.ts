import { answerStream } from "./assistants.ts";

// #region route
// app/api/assistants/[assistant]/stream/route.ts
interface Context {
  readonly params: Promise<{ assistant: string }>;
}

export async function POST(request: Request, { params }: Context): Promise<Response> {
  const { assistant } = await params;
  const { prompt } = (await request.json()) as { prompt: string };
  return answerStream(assistant, request.headers.get("x-user") ?? "guest", prompt);
}
// #endregion

// #region instrumentation
// instrumentation.ts
export async function register(): Promise<void> {
  if (process.env["NEXT_RUNTIME"] !== "nodejs") return;
  const { startAssistants } = await import("./assistants.ts");
  const supervisor = await startAssistants();
  supervisor.stopOnSignals();
}
// #endregion
