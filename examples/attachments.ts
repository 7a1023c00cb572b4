import { CastellanError, fileBlock, publicError, query, session, uiMessagePrompt } from "castellan";

// #region blocks
/** Asks about a photo that a user sent, and a contract: the path of a PDF. */
export async function compare(user: string, photo: Buffer, contract: string): Promise<string> {
  const { text } = await query(
    ["support", user],
    [
      { type: "text", text: "Does the photo show the article of the contract?" },
      { type: "image", source: { type: "base64", media_type: "image/jpeg", data: photo.toString("base64") } },
      { type: "image", source: { type: "url", url: "https://example.com/article.png" } },
      await fileBlock(contract),
    ],
  );
  return text;
}
// #endregion

// #region upload
/** Takes the form of a page, with a `prompt` and any number of `files`, and returns the id of the turn. */
export async function upload(user: string, form: FormData): Promise<Response> {
  const files = form.getAll("files").filter((file) => file instanceof File);
  const text = { type: "text", text: String(form.get("prompt")) };
  try {
    const prompt = uiMessagePrompt({ parts: [...(await Promise.all(files.map(partOf))), text] });
    return Response.json({ id: await session(["support", user]).enqueue(prompt) });
  } catch (error) {
    if (!CastellanError.is(error, "INVALID_OPTIONS")) throw error;
    return Response.json(publicError(error), { status: 415 });
  }
}

/** Castellan goes by the content of the file, not by its name or the type that the browser gives. */
async function partOf(file: File): Promise<{ type: "file"; mediaType: string; url: string; filename: string }> {
  const data = Buffer.from(await file.arrayBuffer()).toString("base64");
  return { type: "file", mediaType: file.type, url: `data:${file.type};base64,${data}`, filename: file.name };
}
// #endregion
