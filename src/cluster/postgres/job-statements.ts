import { isAlive } from "./node-rows.ts";

/**
 * Reserves the next job of a pool. The update locks the row and checks the condition again, so that of two nodes only one gets
 * the job. Parameters: the boot id, the key of the pool.
 */
export const RESERVE_JOB: string = `
  update jobs set reserved_by = $1, reserved_until = clock_timestamp() + interval '30 seconds'
  where id = (
    select id from jobs
    where session = $2 and due_at <= extract(epoch from clock_timestamp())::double precision * 1000
      and (reserved_until is null or reserved_until <= clock_timestamp()
        or not exists (select from nodes where boot = jobs.reserved_by and ${isAlive("nodes")}))
      and exists (select from nodes where boot = $1 and ${isAlive("nodes")} and not draining)
    order by priority desc, seq limit 1 for update skip locked
  )
  returning id`;

/** Counts the waiting jobs of a pool. Parameter: the key of the pool. */
export const COUNT_JOBS = "select count(*)::double precision as count from jobs where session = $1";
