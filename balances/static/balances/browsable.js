// Django REST framework's own script is for forms, and none is ever sent from these pages.
prettyPrint();
