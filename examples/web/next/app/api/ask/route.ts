import { answerStream } from "../../../../assistants.ts";

// #region route
// app/api/ask/route.ts
export async function POST(request: Request): Promise<Response> {
  const { assistant, prompt } = (await request.json()) as { assistant: string; prompt: string };
  return answerStream(assistant, request.headers.get("x-user") ?? "guest", prompt);
}
// #endregion
