/** Worker thread: measures one stack and posts the result back. Started by measure-stacks.ts. */
import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { describeError } from '../base/errors.ts';
import { type MeasureOptions, measureStack } from '../stacks/measure.ts';

export interface WorkerTask extends Omit<MeasureOptions, 'image' | 'imageName'> {
  readonly imagePath: string;
}

const task = workerData as WorkerTask;
try {
  const measurement = measureStack({ ...task, image: readFileSync(task.imagePath), imageName: 'nanokernel' });
  parentPort?.postMessage({ measurement });
} catch (error) {
  parentPort?.postMessage({ failure: describeError(error) });
}
