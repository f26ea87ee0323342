/** `npm run -s bench -- interpreter`: see engine-speed.ts. */
import { engineSpeed } from '../engine-speed.ts';

export default (json: boolean): Promise<string> => engineSpeed(['interpreter'], json);
