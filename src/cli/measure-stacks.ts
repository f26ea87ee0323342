/** Runs the benchmark guest in several stacks side by side, one worker thread a stack, as many at once as there are cores. */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { BackendError } from '../base/errors.ts';
import type { StackMeasurement } from '../stacks/measure.ts';
import type { WorkerTask } from './measure-worker.ts';

/** The benchmark guest, built from guests/nanokernel. */
export const BENCHMARK_GUEST = fileURLToPath(new URL('../../guests/nanokernel/nanokernel.elf', import.meta.url));

export type Task = Omit<WorkerTask, 'imagePath'>;

/** Measurements in the order of the tasks. `done` is told after each. */
export async function measureStacks(tasks: readonly Task[], done: (finished: number) => void = () => {}): Promise<StackMeasurement[]> {
  const results = new Array<StackMeasurement>(tasks.length);
  let next = 0;
  let finished = 0;
  const lane = async (): Promise<void> => {
    while (next < tasks.length) {
      const index = next++;
      results[index] = await measureInWorker(tasks[index]);
      done(++finished);
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), tasks.length) }, lane));
  return results;
}

function measureInWorker(task: Task): Promise<StackMeasurement> {
  return new Promise((resolve, reject) => {
    const workerData: WorkerTask = { ...task, imagePath: BENCHMARK_GUEST };
    const worker = new Worker(new URL('./measure-worker.ts', import.meta.url), { workerData });
    worker.once('message', (message: { measurement?: StackMeasurement; failure?: string }) => {
      if (message.measurement !== undefined) resolve(message.measurement);
      else reject(new BackendError('STACK_FAILED', message.failure ?? `${task.stack}: no result`));
    });
    worker.once('error', reject);
    worker.once('exit', (code) => {
      if (code !== 0) reject(new BackendError('STACK_FAILED', `${task.stack}: the worker ended with status ${code}`));
    });
  });
}
