// A1111 and Forge load this file alone; what it needs lies in js/. The version keeps browsers from an old copy.
import "../js/lipsync_webui.mjs?v=0.1.0";
