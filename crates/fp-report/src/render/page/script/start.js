
chooseGroups();
document.querySelectorAll(".table").forEach(workTable);
foldMenu();
followSections();
copyTexts();
openTargets();
if (document.getElementById("explorer-choices")) explore();
document.documentElement.dataset.ready = "yes";
