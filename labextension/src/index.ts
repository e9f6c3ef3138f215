import '../style/index.css';

import { appCards } from './appcards';
import { opening } from './opening';
import { plugins } from './plugins';

export default [...plugins, appCards, opening];
