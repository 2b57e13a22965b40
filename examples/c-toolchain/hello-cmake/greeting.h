/* Returns the text to greet with. */
const char *greeting(void);
