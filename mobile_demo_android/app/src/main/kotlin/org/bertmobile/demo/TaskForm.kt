package org.bertmobile.demo

import org.bertmobile.core.TaskName

/** A text field of a task's screen. */
enum class Field(val optional: Boolean = false) {
    TEXT,

    /** A sentence that may follow. */
    NEXT_TEXT,

    /** The second text of a pair, for models that take pairs. */
    PAIR(optional = true),

    /** A text to compare with. */
    OTHER_TEXT(optional = true),
    QUESTION,

    /** What holds the answer to a question. */
    PASSAGE,
}

/** The fields of a task, in the order of the texts that [OpenBundle.answer] takes. */
fun fieldsOf(task: TaskName): List<Field> = when (task) {
    TaskName.FILL_MASK, TaskName.TOKEN_CLASSIFICATION -> listOf(Field.TEXT)
    TaskName.NEXT_SENTENCE -> listOf(Field.TEXT, Field.NEXT_TEXT)
    TaskName.TEXT_CLASSIFICATION -> listOf(Field.TEXT, Field.PAIR)
    TaskName.QUESTION_ANSWERING -> listOf(Field.QUESTION, Field.PASSAGE)
    TaskName.FEATURE_EXTRACTION -> listOf(Field.TEXT, Field.OTHER_TEXT)
}

/** The longest text that is answered while somebody types, in UTF-16 units. */
const val LONGEST_TEXT = 20_000
