import type { RemoteControls } from "./controls.ts";
import type { Prompt } from "./options/prompt.ts";
import type { TurnOptions } from "./options/turn-options.ts";
import type { ContentReference, EventContent } from "./record/content.ts";
import type { EventOptions } from "./record/event-readers.ts";
import type { SessionEvent } from "./record/session-event-types.ts";
import type { Turn } from "./streams/turn.ts";
import type { EnqueueOptions, Schedule } from "./turns/schedule.ts";

/** A session that the next process of the application has taken over, for handles in this process. */
export interface FarSession extends RemoteControls {
  stream<Structured>(prompt: Prompt, options: TurnOptions<Structured>): Turn<Structured>;
  enqueue(prompt: Prompt, options: EnqueueOptions): Promise<string>;
  schedules(): Promise<Schedule[]>;
  cancelSchedule(id: string): Promise<boolean>;
  turn(id: string): Promise<Turn | undefined>;
  events(options: EventOptions): AsyncGenerator<SessionEvent, void, undefined>;
  content(reference: ContentReference): Promise<EventContent | undefined>;
}
