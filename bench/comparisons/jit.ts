/** `npm run -s bench -- jit`: see engine-speed.ts. */
import { engineSpeed } from '../engine-speed.ts';

export default (json: boolean): Promise<string> => engineSpeed(['jit', 'interpreter'], json);
