import { opening } from './opening';
import { warnings } from './warnings';

export default [warnings, opening];
