import { randomUUID } from "node:crypto";

/** Make three notes with a client's `create`; only they contain `q`, and the second is completed. */
export async function three(create) {
  const q = randomUUID();
  const first = await create({ text: `b ${q}` });
  const second = await create({ text: `c ${q}`, completed: true });
  const third = await create({ text: `a ${q}` });
  return { q, notes: [first, second, third], ids: [first.id, second.id, third.id] };
}
